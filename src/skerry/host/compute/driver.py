"""What the agent needs of a hypervisor. Every call looks before it acts and may be repeated."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from skerry.hostspec import VmSpec

Reason = Literal["guest-shutdown", "crashed", "lost", "host-rebooted", "asked", ""]


@dataclass(frozen=True)
class Machine:
    """A VM as the hypervisor knows it.

    `process`: its QEMU lives. `state`: running, or halted (the guest powered off, or the process is gone).
    `reason`: why it is halted; `lost`: its process ended unexpectedly and is to be started again.
    `start_generation`, `restart_generation`, `restore_generation`: the last orders carried out, kept on disk.
    `disks`: ids of the disks that it was last started with.
    `phases`: if it continued from a template, seconds to the end of each phase. `unborn`: that was cut short.
    """

    id: str
    process: bool
    state: Literal["running", "halted"]
    reason: Reason = ""
    start_generation: int = 0
    restart_generation: int = 0
    vcpus: int = 0
    memory_bytes: int = 0
    agent_version: str = ""
    message: str = ""
    disks: tuple[str, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)
    unborn: bool = False
    restore_generation: int = 0


@dataclass(frozen=True)
class DiskFile:
    """A disk to attach: absolute path, declared format, and the read-only files below it, nearest first."""

    path: str
    format: Literal["qcow2", "raw"]
    backing: tuple[tuple[str, Literal["qcow2", "raw"]], ...] = ()
    lun: int | None = None
    read_only: bool = False


class ComputeDriver(Protocol):
    """Order of calls for one VM: start … shutdown/kill … forget. A restart is a kill and a start."""

    accelerator: Literal["kvm", "tcg", "fake"]

    def machines(self) -> Mapping[str, Machine]:
        """Every VM that has a folder here, adopted ones included. Never blocks on a guest."""

    def start(self, spec: VmSpec, disks: Sequence[DiskFile], taps: Sequence[int]) -> None:
        """Boot the VM and record the spec's generations as carried out. No-op while its process lives.

        `taps` are open TAP descriptors, one per NIC, closed by the caller.
        Raises HostError with QEMU's own words when it won't start; nothing is left running then.
        """

    def acknowledge(self, vm: str, start_generation: int) -> None:
        """Record that an order to start is met, because the VM runs already."""

    def restored(self, vm: str, restore_generation: int) -> None:
        """Record that a VM which stays stopped was put back to a checkpoint, also of one that never ran here."""

    def remark(self, vm: str, message: str) -> None:
        """Keep a message about the VM until it is started again."""

    def shutdown(self, vm: str) -> None:
        """Press the power button (ACPI). Returns at once."""

    def kill(self, vm: str) -> None:
        """End the QEMU process now and wait until it is gone. The VM's folder stays."""

    def forget(self, vm: str) -> None:
        """Kill, then remove the VM's folder, cgroup and sockets."""

    def serial_log(self, vm: str) -> bytes | None:
        """The end of the serial log, oldest first, at most 1 MiB; None if the VM never ran."""

    def on_event(self, callback: Callable[[str], None]) -> None:
        """`callback(vm id)` is called from any thread whenever a VM's state may have changed."""

    def close(self) -> None:
        """Let go of every VM without touching it: they run on."""
