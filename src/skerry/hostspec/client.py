"""The door between control plane and agent, from both sides. On one machine both ends are in one process."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from skerry.hostspec.observed import CheckpointObserved, DiskObserved, HostCapacity, ImageObserved, Observed, VmObserved
from skerry.hostspec.spec import CheckpointSpec, DiskSpec, HostSpec, VmSpec

# From what should be and what was reported last to what is to be reported.
ImagineVm = Callable[[VmSpec, VmObserved | None], VmObserved]
ImagineDisk = Callable[[DiskSpec, DiskObserved | None], DiskObserved | None]
ImagineCheckpoint = Callable[[CheckpointSpec], CheckpointObserved | None]


class SpecSource(Protocol):
    """What an agent calls."""

    def desired(self, newer_than: int, timeout: float) -> HostSpec | None:
        """The host's whole spec once its revision exceeds `newer_than`; None after `timeout` seconds without."""

    def report(self, observed: Observed) -> None:
        """Store what was seen. Safe to repeat."""


class FleetSource(Protocol):
    """What a fleet of simulated hosts calls."""

    def enrol(self, hosts: Mapping[str, HostCapacity], images: Sequence[ImageObserved]) -> None:
        """Make the hosts known, each with these images. Safe to repeat; hosts of a larger fleet take no VM any more."""

    def converge(self, vm: ImagineVm, disk: ImagineDisk, checkpoint: ImagineCheckpoint) -> int:
        """Let hosts whose specs have changed apply and report them, in one transaction. Returns how many did."""

    def wait(self, timeout: float) -> None:
        """Until a spec may have changed, or `timeout` seconds."""

    def close(self) -> None:
        """Let nobody wait any longer."""


class HostGateway(Protocol):
    """What the control plane may ask an agent for while a client waits; never a change."""

    def serial_log(self, vm: str) -> bytes | None:
        """The end of the VM's serial console log (at most 1 MiB, oldest first); None if it never ran here."""
