"""What the agent needs of checkpoints. Every call looks before it acts and may be repeated."""

from collections.abc import Sequence
from typing import Protocol

from skerry.hostspec import CheckpointObserved, CheckpointSpec, VmSpec, VnetSpec


class CheckpointDriver(Protocol):
    """The checkpoints of this host. No start of a VM runs beside a `make` or `put_back` of the same."""

    def checkpoints(self) -> Sequence[CheckpointObserved]:
        """Every finished checkpoint that is here, also those that no spec names."""

    def make(self, checkpoint: CheckpointSpec, vm: VmSpec | None) -> CheckpointObserved:
        """Make it from `vm` as it is now; None: a VM that isn't on this host, whose disks are.

        A guest goes on, whatever happens; what is half made is never used. Raises HostError.
        """

    def remove(self, checkpoint: str) -> None:
        """Remove it. What its disks hold stays for as long as other disks are made of it."""

    def put_back(self, vm: VmSpec) -> None:
        """Give the VM's disks what they held when `vm.restore_from` was made. No QEMU has them open.

        Does nothing for an order that was carried out before and whose start was not cut short. Raises HostError.
        """

    def resume(self, vm: VmSpec, taps: Sequence[int]) -> bool:
        """Let the VM, just put back, continue from the checkpoint's memory. False: that has none, so it has to boot.

        `taps` as in ComputeDriver.start. Raises HostError when it can't continue; its disks are as put back then.
        """

    def fork(self, vm: VmSpec, vnets: Sequence[VnetSpec], taps: Sequence[int]) -> bool:
        """Let a VM that never started continue from the memory of `vm.fork_of`, with an identity of its own.

        False: it started before, or there is no such memory. Raises HostError when it can't; its disks are as new then.
        """

    def close(self) -> None:
        """Give up what is under way; guests go on."""


NOT_RUNNING = "the VM doesn't run, so it has no memory to keep: start it first, or ask for its disks only"
