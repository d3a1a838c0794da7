"""The agent on fakes: one spec after the other, looking only at what it reports and what the drivers were asked."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from msgspec.structs import replace

from skerry.host.agent import Agent
from skerry.host.checkpoints.fake import FakeCheckpoints
from skerry.host.compute.driver import DiskFile
from skerry.host.compute.fake import FakeCompute
from skerry.host.errors import HostError
from skerry.host.guests import Guests
from skerry.host.storage.fake import FakeStorage
from skerry.hostspec import (
    DiskAttachment,
    DiskObserved,
    DiskSpec,
    HostCapacity,
    HostSpec,
    ImageObserved,
    Observed,
    PortSpec,
    Provisioning,
    VmObserved,
    VmSpec,
    VnetSpec,
)

CAPACITY = HostCapacity(cpus=4, memory_bytes=8 << 30, disk_bytes=0, accelerator="fake")
A, B = "aaaaaaaa-0000-0000-0000-000000000000", "bbbbbbbb-0000-0000-0000-000000000000"
LONG = 20.0


class Source:
    """A control plane: `order` a spec, `wait` for a report that fits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._spec: HostSpec | None = None
        self.observed: Observed | None = None
        self.reports: list[Observed] = []
        self.asked = threading.Event()

    def desired(self, newer_than: int, timeout: float) -> HostSpec | None:
        self.asked.set()
        with self._changed:
            self._changed.wait_for(
                lambda: self._spec is not None and self._spec.revision > newer_than, min(timeout, 0.05)
            )
            return self._spec

    def report(self, observed: Observed) -> None:
        with self._changed:
            self.observed = observed
            self.reports.append(observed)
            self._changed.notify_all()

    def order(self, spec: HostSpec) -> None:
        with self._changed:
            self._spec = spec
            self._changed.notify_all()

    def wait(self, fits: Callable[[Observed], bool]) -> Observed:
        with self._changed:
            assert self._changed.wait_for(lambda: self.observed is not None and fits(self.observed), LONG), (
                self.observed
            )
            assert self.observed is not None
            return self.observed

    def wait_vm(self, vm: str, fits: Callable[[VmObserved], bool]) -> VmObserved:
        return seen(self.wait(lambda observed: any(fits(one) for one in observed.vms if one.id == vm)), vm)


class Network:
    def __init__(self) -> None:
        self.applied: list[Sequence[VnetSpec]] = []
        self.fail: str | None = None
        self.broken: tuple[tuple[str, str, str], ...] = ()
        self.closed: bool | None = None

    def apply(self, vnets: Sequence[VnetSpec]) -> None:
        self.applied.append(vnets)
        if self.fail:
            raise HostError(self.fail)

    def problems(self) -> Sequence[tuple[str, str, str]]:
        return self.broken

    def tap(self, port: str) -> int:
        return os.open(os.devnull, os.O_RDWR)

    def greets(self, port: str, tcp_port: int) -> bool:
        return True

    def close(self, *, keep: bool) -> None:
        self.closed = keep


class Storage:
    def __init__(self) -> None:
        self.made: dict[str, DiskObserved] = {}
        self.broken: set[str] = set()
        self.slow: dict[str, threading.Event] = {}

    def ensure(self, disk: DiskSpec) -> DiskObserved:
        if disk.id in self.slow:
            assert self.slow[disk.id].wait(LONG)
        if disk.id in self.broken:
            raise HostError(f"image {disk.image} isn't here")
        if not disk.present:
            self.made.pop(disk.id, None)
            return DiskObserved(disk.id, ready=False)
        self.made[disk.id] = DiskObserved(disk.id, ready=True, size_bytes=disk.size_bytes)
        return self.made[disk.id]

    def disks(self) -> Sequence[DiskObserved]:
        return list(self.made.values())

    def file(self, disk: str) -> DiskFile:
        if disk not in self.made:
            raise HostError(f"disk {disk} isn't here")
        return DiskFile(f"/disks/{disk}.qcow2", "qcow2")

    def images(self) -> Sequence[ImageObserved]:
        return ()

    def free_bytes(self) -> int:
        return 100 << 30


class Host:
    def __init__(self) -> None:
        self.source, self.network, self.storage, self.guests = Source(), Network(), Storage(), Guests()
        self.compute = FakeCompute(self.guests)
        self.agent = Agent(
            self.source,
            self.compute,
            self.network,
            self.storage,
            FakeCheckpoints(self.compute, FakeStorage()),
            guests=self.guests,
            capacity=CAPACITY,
        )

    def starts(self, vm: str) -> int:
        return self.compute.calls.count(("start", vm))


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    host.agent.start()
    yield host
    for event in host.storage.slow.values():
        event.set()
    host.agent.stop(keep_vms=True)


def vm(id: str = A, **changes: object) -> VmSpec:
    spec = VmSpec(
        id=id,
        name="web",
        vcpus=2,
        memory_bytes=1 << 30,
        disks=(DiskAttachment(f"os-{id[0]}"),),
        ports=(f"nic-{id[0]}",),
        macs=("00:0d:3a:00:00:01",),
        provisioning=Provisioning("web", "me"),
        metadata='{"compute": {}}',
    )
    return replace(spec, **changes)


def spec(revision: int, *vms: VmSpec, gone: Sequence[str] = ()) -> HostSpec:
    disks = [DiskSpec(attachment.disk, 1 << 30) for one in vms for attachment in one.disks]
    return HostSpec(revision, vms, disks=(*disks, *(DiskSpec(disk, 1 << 30, present=False) for disk in gone)))


def seen(observed: Observed, vm: str) -> VmObserved:
    return next(one for one in observed.vms if one.id == vm)


def test_a_vm_is_started_and_its_guest_becomes_ready(host: Host) -> None:
    host.source.order(spec(1, vm()))
    observed = host.source.wait_vm(A, lambda one: one.health == "ready")
    assert (observed.power, observed.start_generation, observed.vcpus, observed.message) == ("running", 1, 2, "")
    assert host.source.wait(lambda one: one.revision == 1).disks == (DiskObserved("os-a", True, 1 << 30),)
    assert host.guests.vm("nic-a") == A
    assert host.guests.metadata("nic-a") == '{"compute": {}}'
    assert host.agent.serial_log(A) == b"web login: "


def test_a_guest_that_shut_itself_down_waits_for_a_newer_order(host: Host) -> None:
    host.source.order(spec(1, vm()))
    host.source.wait_vm(A, lambda one: one.power == "running")
    host.compute.guest_shutdown(A)
    host.source.wait_vm(A, lambda one: one.power == "stopped")
    host.source.order(spec(2, vm()))
    host.source.wait(lambda one: one.revision == 2)
    assert host.starts(A) == 1
    host.source.order(spec(3, vm(start_generation=2)))
    host.source.wait_vm(A, lambda one: one.power == "running" and one.start_generation == 2)
    assert host.starts(A) == 2


def test_a_lost_guest_is_started_again(host: Host) -> None:
    host.source.order(spec(1, vm()))
    host.source.wait_vm(A, lambda one: one.power == "running")
    host.compute.lose(A)
    host.source.wait_vm(A, lambda one: one.power == "running" and host.compute.calls.count(("start", A)) == 2)


def test_a_crash_stays_stopped_and_says_so(host: Host) -> None:
    host.source.order(spec(1, vm()))
    host.source.wait_vm(A, lambda one: one.power == "running")
    host.compute.crash(A)
    assert "ended unexpectedly" in host.source.wait_vm(A, lambda one: one.power == "stopped").message


def test_after_a_host_reboot_what_ran_runs_again(host: Host) -> None:
    host.source.order(spec(1, vm()))
    host.source.wait_vm(A, lambda one: one.power == "running")
    host.compute.reboot_host()
    host.source.wait(lambda _: host.starts(A) == 2)
    assert host.source.wait_vm(A, lambda one: one.power == "running").message == ""


def test_stop_then_delete_in_one_spec_with_the_disk(host: Host) -> None:
    host.source.order(spec(1, vm()))
    host.source.wait_vm(A, lambda one: one.power == "running")
    host.source.order(spec(2, vm(power="stopped")))
    host.source.wait_vm(A, lambda one: one.power == "stopped")
    assert host.compute.machines()[A].process is False
    host.source.order(spec(3, gone=["os-a"]))
    host.source.wait(lambda one: one.revision == 3 and not one.vms and not one.disks)
    assert host.compute.machines() == {}
    assert ("forget", A) in host.compute.calls


def test_a_disk_outlives_its_running_vm(host: Host) -> None:
    host.source.order(spec(1, vm()))
    host.source.wait_vm(A, lambda one: one.power == "running")
    host.source.order(HostSpec(2, (vm(),), disks=(DiskSpec("os-a", 1 << 30, present=False),)))
    host.source.wait(lambda one: one.revision == 2)
    assert "os-a" in host.storage.made


def test_a_restart_makes_a_new_process_with_the_new_size_and_no_cd_once_provisioned(host: Host) -> None:
    host.source.order(spec(1, vm()))
    host.source.wait_vm(A, lambda one: one.health == "ready")
    host.source.order(spec(2, vm(vcpus=4, restart_generation=1)))
    observed = host.source.wait_vm(A, lambda one: one.restart_generation == 1)
    assert (observed.power, observed.vcpus) == ("running", 4)
    assert [verb for verb, _ in host.compute.calls] == ["start", "shutdown", "kill", "start"]


def test_a_guest_deaf_to_acpi_is_killed_when_its_grace_is_over(host: Host) -> None:
    host.compute.ignore_acpi = True
    host.source.order(spec(1, vm()))
    host.source.wait_vm(A, lambda one: one.power == "running")
    host.source.order(spec(2, vm(power="stopped", grace_seconds=1)))
    host.source.wait_vm(A, lambda one: one.power == "stopping")
    host.source.wait_vm(A, lambda one: one.power == "stopped")
    assert [verb for verb, _ in host.compute.calls] == ["start", "shutdown", "kill"]


def test_a_start_order_for_a_running_vm_is_met_at_once(host: Host) -> None:
    host.source.order(spec(1, vm()))
    host.source.wait_vm(A, lambda one: one.power == "running")
    host.source.order(spec(2, vm(start_generation=5)))
    host.source.wait_vm(A, lambda one: one.start_generation == 5)
    assert host.starts(A) == 1


def test_a_failing_vm_is_tried_again_and_does_not_hold_up_another(host: Host) -> None:
    host.storage.broken.add("os-a")
    host.source.order(spec(1, vm(A), vm(B)))
    host.source.wait_vm(B, lambda one: one.power == "running")
    failed = host.source.wait_vm(A, lambda one: one.power == "failed")
    assert "image None isn't here" in failed.message
    assert host.source.wait(lambda one: any(kind == "disk" for kind, _, _ in one.problems))
    host.storage.broken.clear()
    host.source.wait_vm(A, lambda one: one.power == "running" and not one.message)
    assert host.source.wait(lambda one: not one.problems).revision == 1


def test_a_slow_disk_delays_neither_rules_nor_other_vms(host: Host) -> None:
    host.storage.slow["os-a"] = threading.Event()
    host.source.order(spec(1, vm(A), vm(B)))
    observed = host.source.wait(lambda one: any(vm.id == B and vm.power == "running" for vm in one.vms))
    assert (seen(observed, A).power, observed.revision) == ("starting", 0)
    assert host.network.applied
    host.storage.slow["os-a"].set()
    host.source.wait_vm(A, lambda one: one.power == "running")
    host.source.wait(lambda one: one.revision == 1)


def test_a_vm_whose_network_cannot_be_made_is_started_once_it_can(host: Host) -> None:
    ports = [PortSpec(f"nic-{id[0]}", id, "00:0d:3a:00:00:01", "10.0.0.4", "s", "web") for id in (A, B)]
    vnets = tuple(VnetSpec(id[0], ("10.0.0.0/16",), (), (), (port,)) for id, port in zip((A, B), ports, strict=True))
    host.network.broken = (("vnet", "a", "dnsmasq: Permission denied"), ("wayOut", "b", "slirp4netns is missing"))
    host.source.order(replace(spec(1, vm(A), vm(B)), vnets=vnets))
    host.source.wait_vm(B, lambda one: one.power == "running")
    observed = host.source.wait_vm(A, lambda one: one.power == "failed")
    assert observed.message == "its virtual network can't be made: dnsmasq: Permission denied"
    host.network.broken = ()
    host.source.wait_vm(A, lambda one: one.power == "running")


def test_a_network_that_fails_is_a_problem_and_holds_nothing_else_up(host: Host) -> None:
    host.network.fail = "nft is missing"
    host.source.order(spec(1, vm()))
    observed = host.source.wait(lambda one: bool(one.problems))
    assert observed.problems == (("network", "", "nft is missing"),)
    assert host.source.wait(lambda one: one.revision == 1).problems == observed.problems
    host.network.fail = None
    host.source.wait(lambda one: not one.problems)
    host.network.broken = (("vnet", "v", "no TAPs"),)
    host.source.wait(lambda one: one.problems == host.network.broken)


def test_a_stale_spec_is_refused(host: Host) -> None:
    host.source.order(spec(7, vm()))
    host.source.wait_vm(A, lambda one: one.power == "running")
    host.agent._accept(spec(6))
    host.source.order(spec(8, vm()))
    host.source.wait(lambda one: one.revision == 8)
    assert ("forget", A) not in host.compute.calls


def test_a_failed_provisioning_is_reported_with_the_guests_words(host: Host) -> None:
    host.compute.not_ready = "could not read customData"
    host.source.order(spec(1, vm()))
    observed = host.source.wait_vm(A, lambda one: one.health == "failed")
    assert (observed.power, observed.message) == ("running", "could not read customData")


@pytest.mark.parametrize("keep", [True, False])
def test_stopping_keeps_or_halts_the_guests(keep: bool) -> None:
    host = Host()
    host.agent.start()
    host.source.order(spec(1, vm()))
    host.source.wait_vm(A, lambda one: one.power == "running")
    host.agent.stop(keep_vms=keep)
    assert host.compute.machines()[A].process is keep
    assert host.network.closed is keep


def test_nothing_is_torn_down_or_reported_before_the_first_spec(host: Host) -> None:
    host.compute.start(vm(), [DiskFile("/d", "raw")], [0])
    host.source.asked.wait(LONG)
    assert host.compute.machines()[A].process
    host.source.order(spec(1, vm()))
    host.source.wait_vm(A, lambda one: one.power == "running")
    assert [one.id for one in host.source.reports[0].vms] == [A]
