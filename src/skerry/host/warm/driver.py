"""What the agent needs of warm starts."""

from collections.abc import Sequence
from typing import Protocol

from skerry.hostspec import VmSpec, VnetSpec


class WarmStarts(Protocol):
    """New VMs that continue from the memory of a template."""

    def start(self, vm: VmSpec, vnets: Sequence[VnetSpec], taps: Sequence[int]) -> bool:
        """Start the VM from a template, complete with its identity. False: it has to start cold; its disk is as new.

        `taps` as in ComputeDriver.start. Never raises for a template that fails.
        """

    def learn(self, vm: VmSpec) -> None:
        """A VM is ready: the next one like it may find a template. Returns at once, cheap to repeat."""

    def close(self) -> None:
        """Make no more templates."""
