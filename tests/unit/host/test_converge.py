"""One step at a time: what follows from a spec and what is there."""

import pytest

from skerry.host.compute.driver import Machine, Reason
from skerry.host.converge import PRESS_EVERY, Action, Stopping, disk_is_due, next_action, power
from skerry.hostspec import DiskObserved, DiskSpec, VmSpec

NOW = 1000.0
VM = VmSpec(
    id="11111111-2222-3333-4444-555555555555",
    name="web",
    vcpus=1,
    memory_bytes=1 << 30,
    disks=(),
    ports=(),
    macs=(),
    start_generation=2,
    restart_generation=1,
)
STOPPED = VmSpec(**{**{name: getattr(VM, name) for name in VM.__struct_fields__}, "power": "stopped"})
HARD = VmSpec(**{**{name: getattr(STOPPED, name) for name in VM.__struct_fields__}, "hard_stop": True})


def running(start: int = 2, restart: int = 1) -> Machine:
    return Machine(VM.id, process=True, state="running", start_generation=start, restart_generation=restart)


def halted(reason: Reason, *, process: bool = False, start: int = 2, restart: int = 1) -> Machine:
    return Machine(VM.id, process, "halted", reason, start_generation=start, restart_generation=restart)


@pytest.mark.parametrize(
    ("vm", "machine", "action"),
    [
        (None, None, Action.NOTHING),
        (None, running(), Action.FORGET),
        (None, halted("crashed"), Action.FORGET),
        (VM, None, Action.START),
        (STOPPED, None, Action.NOTHING),
        (VM, running(), Action.NOTHING),
        (VM, running(start=1), Action.ACKNOWLEDGE),
        (VM, running(restart=0), Action.PRESS),
        (STOPPED, running(), Action.PRESS),
        (HARD, running(), Action.KILL),
        (VM, halted("guest-shutdown", process=True), Action.KILL),
        (VM, halted("guest-shutdown"), Action.NOTHING),
        (VM, halted("crashed"), Action.NOTHING),
        (VM, halted("guest-shutdown", start=1), Action.START),
        (VM, halted("crashed", start=1), Action.START),
        (VM, halted("crashed", restart=0), Action.START),
        (VM, halted("host-rebooted"), Action.START),
        (VM, halted("asked"), Action.START),
        (STOPPED, halted("asked", process=True), Action.KILL),
        (STOPPED, halted("asked"), Action.NOTHING),
        (STOPPED, halted("host-rebooted"), Action.NOTHING),
    ],
)
def test_next_action(vm: VmSpec | None, machine: Machine | None, action: Action) -> None:
    assert next_action(vm, machine, None, NOW) is action


@pytest.mark.parametrize(
    ("since", "pressed", "action"),
    [
        (NOW - 1, NOW - 1, Action.NOTHING),
        (NOW - 9, NOW - PRESS_EVERY, Action.PRESS),
        (NOW - STOPPED.grace_seconds, NOW - 1, Action.KILL),
    ],
)
def test_the_button_is_pressed_again_until_the_grace_is_over(since: float, pressed: float, action: Action) -> None:
    assert next_action(STOPPED, running(), Stopping(since, pressed), NOW) is action


@pytest.mark.parametrize(
    ("vm", "machine", "problem", "expected"),
    [
        (VM, None, None, "starting"),
        (VM, None, "no such image", "failed"),
        (VM, running(), None, "running"),
        (VM, running(restart=0), None, "stopping"),
        (STOPPED, running(), None, "stopping"),
        (None, running(), None, "stopping"),
        (VM, halted("asked", restart=0), None, "starting"),
        (VM, halted("asked"), "no TAP", "failed"),
        (VM, halted("guest-shutdown"), None, "stopped"),
        (VM, halted("crashed"), None, "stopped"),
        (STOPPED, halted("asked", process=True), None, "stopping"),
        (STOPPED, None, None, "stopped"),
    ],
)
def test_power(vm: VmSpec | None, machine: Machine | None, problem: str | None, expected: str) -> None:
    assert power(vm, machine, problem) == expected


def test_disks_are_made_grown_and_removed_but_never_under_a_running_qemu() -> None:
    disk, gone = DiskSpec("d", 10), DiskSpec("d", 10, present=False)
    assert disk_is_due(disk, None, in_use=False)
    assert disk_is_due(disk, DiskObserved("d", ready=True, size_bytes=5), in_use=False)
    assert disk_is_due(gone, DiskObserved("d", ready=True, size_bytes=10), in_use=False)
    assert not disk_is_due(disk, DiskObserved("d", ready=True, size_bytes=10), in_use=False)
    assert not disk_is_due(gone, None, in_use=False)
    assert not disk_is_due(gone, DiskObserved("d", ready=True), in_use=True)
    assert not disk_is_due(disk, DiskObserved("d", ready=True, size_bytes=5), in_use=True)
