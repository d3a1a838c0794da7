"""What the agent needs of warm starts."""

from collections.abc import Callable, Sequence
from typing import Protocol

from skerry.hostspec import StandbyObserved, TemplateSpec, VmSpec, VnetSpec, WarmObserved


class WarmStarts(Protocol):
    """New VMs that continue from the memory of a template."""

    def start(self, vm: VmSpec, vnets: Sequence[VnetSpec], taps: Sequence[int]) -> bool:
        """Start the VM from a template, complete with its identity. False: it has to start cold; its disk is as new.

        `taps` as in ComputeDriver.start; they may be no port's any more when it returns False. Never raises for a
        template that fails.
        """

    def learn(self, vm: VmSpec) -> None:
        """A VM is ready: the next one like it may find a template. Returns at once, cheap to repeat."""

    def order(self, templates: Sequence[TemplateSpec]) -> None:
        """Make these templates now, each order once. Returns at once, cheap to repeat."""

    def observe(self) -> WarmObserved:
        """The templates that there are, and how the orders went."""

    def standbys(self) -> Sequence[StandbyObserved]:
        """The machines that stand by to be VMs."""

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back, from another thread, when an order was carried out."""

    def close(self) -> None:
        """Make no more templates."""
