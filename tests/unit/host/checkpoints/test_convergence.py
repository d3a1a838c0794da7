"""Checkpoints, restores and forks as the agent orders them, on fakes."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from tests.unit.host import test_agent
from tests.unit.host.test_agent import CAPACITY, A, B, Network, Source, seen

from skerry.host.agent import Agent
from skerry.host.checkpoints.driver import NOT_RUNNING
from skerry.host.checkpoints.fake import FakeCheckpoints
from skerry.host.compute.fake import FakeCompute
from skerry.host.guests import Guests
from skerry.host.storage.fake import FakeStorage
from skerry.hostspec import (
    CheckpointedDisk,
    CheckpointObserved,
    CheckpointSpec,
    DiskAttachment,
    DiskSpec,
    HostSpec,
    Observed,
    VmSpec,
)

CHECKPOINT = CheckpointSpec("c1", A, ("a0",), memory=True)
GONE = replace(CHECKPOINT, present=False)


def vm(id: str = A, **changes: object) -> VmSpec:
    return test_agent.vm(id, disks=(DiskAttachment(f"{id[0]}0"),), **changes)


class Host:
    def __init__(self) -> None:
        guests = Guests()
        self.source, self.compute, self.storage = Source(), FakeCompute(guests), FakeStorage()
        self.checkpoints = FakeCheckpoints(self.compute, self.storage)
        parts = (self.compute, Network(), self.storage, self.checkpoints)
        self.agent = Agent(self.source, *parts, guests=guests, capacity=CAPACITY)
        self._revision = 0

    def order(
        self, *vms: VmSpec, checkpoints: tuple[CheckpointSpec, ...] = (), disks: tuple[DiskSpec, ...] = ()
    ) -> None:
        self._revision += 1
        known = {disk.id for disk in disks}
        plain = [DiskSpec(at.disk, 1 << 30) for one in vms for at in one.disks if at.disk not in known]
        self.source.order(HostSpec(self._revision, vms, disks=(*plain, *disks), checkpoints=checkpoints))

    def running(self, *vms: VmSpec) -> None:
        self.order(*vms)
        for one in vms:
            self.source.wait_vm(one.id, lambda seen: seen.power == "running" and seen.health == "ready")

    def wait_checkpoint(self) -> CheckpointObserved:
        return self.source.wait(lambda observed: any(one.ready for one in observed.checkpoints)).checkpoints[0]

    def starts(self, id: str) -> int:
        return self.compute.calls.count(("start", id))


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    host.agent.start()
    yield host
    host.agent.stop(keep_vms=True)


def no_checkpoint(observed: Observed) -> bool:
    return not observed.checkpoints


def test_a_checkpoint_is_made_once_and_goes_only_when_told(host: Host) -> None:
    host.running(vm())
    host.order(vm(), checkpoints=(CHECKPOINT,))
    made = host.wait_checkpoint()
    assert (made.id, made.memory, made.disk_pause_seconds > 0) == ("c1", True, True)
    host.order(vm())
    host.order(vm(), checkpoints=(CHECKPOINT,))
    host.source.wait(lambda observed: observed.revision == 4)
    assert host.source.observed is not None and len(host.source.observed.checkpoints) == 1
    host.order(vm(), checkpoints=(GONE,))
    host.source.wait(no_checkpoint)
    assert host.checkpoints.calls == [("make", "c1"), ("remove", "c1")]


def test_a_failure_is_told_and_mended(host: Host) -> None:
    host.running(vm(power="running"))
    host.checkpoints.fail_next = ["the disk is full"]
    host.order(vm(), checkpoints=(CHECKPOINT,))
    failed = host.source.wait(lambda observed: any(one.message for one in observed.checkpoints))
    assert failed.checkpoints[0] == CheckpointObserved("c1", ready=False, message="the disk is full")
    assert host.wait_checkpoint().message == ""


def test_no_memory_of_a_vm_that_does_not_run(host: Host) -> None:
    host.order(vm(power="stopped"), checkpoints=(CHECKPOINT,))
    host.source.wait(lambda observed: any(one.message == NOT_RUNNING for one in observed.checkpoints))
    host.order(vm(power="stopped"), checkpoints=(GONE, replace(CHECKPOINT, id="c2", memory=False)))
    assert not host.source.wait(lambda observed: any(one.ready for one in observed.checkpoints)).checkpoints[0].memory


def test_a_vm_starts_only_when_its_disks_are_kept(host: Host) -> None:
    host.order(vm(power="stopped"))
    host.source.wait(lambda observed: observed.revision == 1)
    host.checkpoints.gate.clear()
    cold = replace(CHECKPOINT, memory=False)
    host.order(vm(power="stopped"), checkpoints=(cold,))
    host.source.wait(lambda _: ("make", "c1") in host.checkpoints.calls)
    host.order(vm(), checkpoints=(cold,))
    host.source.wait(lambda observed: seen(observed, A).power == "starting")
    assert host.starts(A) == 0
    host.checkpoints.gate.set()
    host.source.wait_vm(A, lambda one: one.power == "running")


def test_a_restore_ends_the_guest_and_lets_it_continue(host: Host) -> None:
    host.running(vm())
    host.order(vm(), checkpoints=(CHECKPOINT,))
    host.wait_checkpoint()
    back = vm(restore_from="c1", restore_generation=1)
    host.order(back, checkpoints=(CHECKPOINT,))
    host.source.wait_vm(A, lambda one: one.restore_generation == 1 and one.power == "running")
    assert [call for call in host.compute.calls if call[1] == A] == [("start", A), ("kill", A), ("start", A)]
    assert host.checkpoints.calls[1:] == [("put_back", A), ("resume", A)]
    host.order(replace(back, restore_generation=2, power="stopped"), checkpoints=(CHECKPOINT,))
    host.source.wait_vm(A, lambda one: one.restore_generation == 2 and one.power == "stopped")
    assert host.starts(A) == 2


def test_a_restore_that_cannot_continue_boots_and_says_so(host: Host) -> None:
    host.running(vm())
    host.order(vm(), checkpoints=(CHECKPOINT,))
    host.wait_checkpoint()
    host.checkpoints.fail_next = ["the memory is damaged"]
    host.order(vm(restore_from="c1", restore_generation=1), checkpoints=(CHECKPOINT,))
    done = host.source.wait_vm(
        A, lambda one: one.restore_generation == 1 and one.power == "running" and one.message != ""
    )
    assert "memory is damaged" in done.message


def test_a_vm_is_left_alone_when_its_checkpoint_is_not_here(host: Host) -> None:
    host.running(vm())
    host.order(vm(restore_from="c9", restore_generation=1))
    left = host.source.wait_vm(A, lambda one: "c9" in one.message)
    assert (left.power, left.restore_generation) == ("running", 0)
    host.order(vm(restore_from="c9", restore_generation=1, power="stopped"))
    host.source.wait_vm(A, lambda one: one.power == "stopped" and one.restore_generation == 0)


def test_a_fork_continues_once_and_is_ready(host: Host) -> None:
    host.running(vm())
    host.order(vm(), checkpoints=(CHECKPOINT,))
    host.wait_checkpoint()
    fork = vm(B, fork_of="c1")
    disk = DiskSpec("b0", 1 << 30, origin=CheckpointedDisk("c1", "a0"))
    host.order(vm(), fork, checkpoints=(CHECKPOINT,), disks=(disk,))
    host.source.wait_vm(B, lambda one: one.power == "running" and one.health == "ready")
    assert host.checkpoints.calls[-1] == ("fork", B)
    host.order(vm(), replace(fork, restart_generation=1), checkpoints=(CHECKPOINT,), disks=(disk,))
    host.source.wait_vm(B, lambda one: one.restart_generation == 1)
    assert host.starts(B) == 2


def test_a_disk_of_a_checkpoint_that_is_not_here_waits(host: Host) -> None:
    disk = DiskSpec("b0", 1 << 30, origin=CheckpointedDisk("c9", "a0"))
    host.order(disks=(disk,))
    problem = host.source.wait(lambda observed: any(one.message for one in observed.disks)).disks[0]
    assert "c9" in problem.message
