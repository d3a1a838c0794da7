"""What to do next with one VM or disk: pure functions from (spec, what is there, time) to an action.

    never started ──start──▶ running ──guest powers off, crash──▶ halted ──newer start order──▶ start
                              │  ▲
           stop, restart order▼  │after the reap, when it should run
                            stopping ──halted, or grace over──▶ kill

A machine that was lost (its process or its whole host ended) is started again without an order. A restart re-creates
the QEMU process, so that changed sizes, disks and NICs take effect. An order to restore comes before everything else.
"""

from dataclasses import dataclass
from enum import Enum

from skerry.host.compute.driver import Machine
from skerry.hostspec import DiskObserved, DiskSpec, VmPower, VmSpec

# A press during early boot is lost: nothing listens yet. logind takes repeated presses as one.
PRESS_EVERY = 5.0


class Action(Enum):
    """The next step for a VM; NOTHING also means waiting."""

    NOTHING = "nothing"
    START = "start"
    ACKNOWLEDGE = "acknowledge"
    PRESS = "press"
    KILL = "kill"
    RESTORE = "restore"
    FORGET = "forget"


@dataclass(frozen=True)
class Stopping:
    """An ACPI shutdown under way; both in seconds of one monotonic clock."""

    since: float
    pressed: float


def next_action(vm: VmSpec | None, machine: Machine | None, stopping: Stopping | None, now: float) -> Action:
    """What brings the VM one step nearer to its spec; `vm` is None for one that should not exist."""
    if vm is None:
        return Action.FORGET if machine else Action.NOTHING
    if must_restore(vm, machine):
        return Action.RESTORE
    if machine is None:
        return Action.START if vm.power == "running" else Action.NOTHING
    if machine.state == "halted":
        return _halted(vm, machine)
    if must_stop(vm, machine):
        return _stop(vm, stopping, now)
    if vm.start_generation > machine.start_generation:
        return Action.ACKNOWLEDGE
    return Action.NOTHING


def must_stop(vm: VmSpec, machine: Machine) -> bool:
    """Whether the running machine has to halt: for good, or for a restart."""
    return vm.power == "stopped" or vm.restart_generation > machine.restart_generation


def must_restore(vm: VmSpec, machine: Machine | None) -> bool:
    """Whether the VM is to be put back to a checkpoint, whatever it does now."""
    return vm.restore_from is not None and vm.restore_generation > (machine.restore_generation if machine else 0)


def should_start(vm: VmSpec, machine: Machine | None) -> bool:
    """Whether a VM that isn't running should be. One that halted by itself waits for a newer order."""
    if vm.power == "stopped":
        return False
    if machine is None or machine.reason in ("host-rebooted", "lost", "asked", ""):
        return True
    return vm.start_generation > machine.start_generation or vm.restart_generation > machine.restart_generation


def _halted(vm: VmSpec, machine: Machine) -> Action:
    if machine.process:
        return Action.KILL
    return Action.START if should_start(vm, machine) else Action.NOTHING


def _stop(vm: VmSpec, stopping: Stopping | None, now: float) -> Action:
    if vm.hard_stop:
        return Action.KILL
    if stopping is None:
        return Action.PRESS
    if now - stopping.since >= vm.grace_seconds:
        return Action.KILL
    return Action.PRESS if now - stopping.pressed >= PRESS_EVERY else Action.NOTHING


def power(vm: VmSpec | None, machine: Machine | None, problem: str | None) -> VmPower:
    """The VM's power state as the control plane sees it; `problem` is why its last step failed."""
    if machine is not None and machine.state == "running":
        return "stopping" if vm is None or must_stop(vm, machine) else "running"
    if vm is None:
        return "stopping"
    if not should_start(vm, machine):
        return "stopping" if machine is not None and machine.process else "stopped"
    return "failed" if problem else "starting"


def disk_is_due(disk: DiskSpec, seen: DiskObserved | None, *, in_use: bool) -> bool:
    """Whether storage has something to do. A disk that a QEMU has open is left alone until that has ended."""
    if in_use:
        return False
    if not disk.present:
        return seen is not None
    return seen is None or not seen.ready or seen.size_bytes < disk.size_bytes
