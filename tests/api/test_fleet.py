"""Many simulated hosts in one process: VMs spread over them, stay where their disks are, and outlive the process."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.client import BASE, Arm

from skerry.arm.secrets import Secrets
from skerry.arm.service import Installation
from skerry.authentication import authenticator
from skerry.control import ControlPlane
from skerry.host.fleet import Fleet, capacity
from skerry.hostspec import Observed, VmSpec
from skerry.identity import Identity

HOSTS = 30


class Gateway:
    """No serial logs are asked for here."""

    def serial_log(self, vm: str) -> bytes | None:
        """Nothing."""
        return None


@contextmanager
def running(database: str | Path, identity: Identity, size: int = HOSTS) -> Iterator[Arm]:
    """A control plane on a fleet; whatever an earlier one left in the database is there."""
    installation = Installation(identity.subscription_id, identity.tenant_id, BASE, Secrets(bytes(32)))
    control = ControlPlane(database, installation, Gateway())
    fleet = Fleet(control.fleet, size)
    fleet.start()
    control.start()
    token = identity.tokens.access(identity.account.application(), BASE)
    client = TestClient(control.app(authenticator(identity)), base_url=BASE, raise_server_exceptions=False)
    try:
        yield Arm(client, token, control, None)  # type: ignore[arg-type]
    finally:
        client.close()
        fleet.stop(keep_vms=True)
        control.stop()


@pytest.fixture
def arm(database: str | Path, identity: Identity) -> Iterator[Arm]:
    with running(database, identity) as found:
        yield found


def host_of(arm: Arm, vm: str) -> str:
    """Where a VM is."""
    return str(private(arm, vm)["host"])


def private(arm: Arm, path: str) -> dict[str, Any]:
    """What is stored beside a resource's body."""
    with arm.control.store.read() as work:
        row = work.resources.get(f"/subscriptions/{arm.subscription}/{path}".lower())
    assert row is not None
    return row.private


def test_hosts_of_another_kind_take_no_vm(database: str | Path, identity: Identity) -> None:
    """A real start and then a simulated one, and the other way round, on the same state folder."""
    with running(database, identity, 2) as arm, arm.control.store.write() as work:
        work.hosts.add("local")
        work.hosts.record("local", Observed(1, capacity(0)))
    with running(database, identity, 1) as arm:
        with arm.control.store.read() as work:
            assert [host.id for host in work.hosts.changed_after(0) if host.capacity] == ["sim-000000"]
        assert host_of(arm, arm.vm(arm.group(), "v")) == "sim-000000"
        assert arm.control.link  # what a real agent calls
        with arm.control.store.read() as work:
            assert [host.id for host in work.hosts.changed_after(0) if host.capacity] == []


def test_vms_spread_over_hosts_zones_and_fault_domains(arm: Arm) -> None:
    group = arm.group()
    places = [host_of(arm, arm.vm(group, f"v{number}")) for number in range(6)]
    assert places == [f"sim-{number:06}" for number in range(6)]
    with arm.control.store.read() as work:
        found = [work.hosts.capacity(host) for host in work.hosts.names()]
    capacities = [capacity for capacity in found if capacity]
    assert Counter(capacity.zone for capacity in capacities) == {"1": 10, "2": 10, "3": 10}
    assert Counter(capacity.fault_domain for capacity in capacities) == dict.fromkeys(range(5), 6)


def test_a_zone_is_met_and_the_placement_is_remembered(arm: Arm) -> None:
    group = arm.group()
    nic = arm.nic(group)
    path = f"{group}/providers/Microsoft.Compute/virtualMachines/web"
    arm.done(arm.put(path, {**arm.vm_body(nic), "zones": ["2"]}))
    placement = private(arm, path)["placement"]
    assert (placement["host"], placement["hosts"]) == ("sim-000001", HOSTS)
    assert len(placement["rejected"]) == HOSTS - 1
    assert placement["rejected"]["sim-000000"] == "is in zone 1, not 2"
    assert placement["turnedDown"]["is in another zone"] == 20
    assert abs(placement["at"] - time.time()) < 600


def test_a_vm_starts_again_where_its_disk_is(arm: Arm) -> None:
    group = arm.group()
    first, second = arm.vm(group, "one"), arm.vm(group, "two")
    assert host_of(arm, first) != host_of(arm, second)
    arm.done(arm.post(f"{second}/deallocate"))
    assert (host_of(arm, second), arm.power(second)) == ("", "deallocated")
    arm.done(arm.post(f"{second}/start"))
    assert (host_of(arm, second), arm.power(second)) == ("sim-000001", "running")


def test_without_room_where_its_disk_is_it_stays_deallocated_and_says_why(arm: Arm) -> None:
    group = arm.group()
    path = arm.vm(group)
    arm.done(arm.post(f"{path}/deallocate"))
    with arm.control.store.write() as work:
        work.hosts.put("sim-000000", VmSpec("other", "other", 1, 128 << 30, (), (), ()))
    failed = arm.wait(arm.post(f"{path}/start"))
    assert (failed.body["status"], failed.code) == ("Failed", "AllocationFailed")
    assert "host sim-000000: needs 1 GiB of memory, 0 GiB of 128 GiB free" in failed.message
    assert host_of(arm, path) == ""


def test_power_sizes_and_the_end_of_a_vm(arm: Arm) -> None:
    path = arm.vm(arm.group())
    arm.done(arm.post(f"{path}/powerOff"))
    assert arm.power(path) == "stopped"
    arm.done(arm.post(f"{path}/start"))
    arm.done(arm.post(f"{path}/restart"))
    body = {"properties": {"hardwareProfile": {"vmSize": "Standard_B2s"}}}
    arm.done(arm.call("PATCH", path, body))
    assert arm.power(path) == "running"
    with arm.control.store.read() as work:
        seen = work.hosts.vm("sim-000000", private(arm, path)["vm"])
    assert seen is not None
    assert (seen.vcpus, seen.restart_generation, seen.health) == (2, 2, "ready")
    arm.done(arm.delete(path))
    with arm.control.store.read() as work:
        assert work.hosts.spec("sim-000000").vms == ()
        assert work.hosts.vm("sim-000000", seen.id) is None


def test_a_disk_goes_with_its_file(arm: Arm) -> None:
    disk = f"{arm.group()}/providers/Microsoft.Compute/disks/d"
    body = {"location": "local", "properties": {"diskSizeGB": 4, "creationData": {"createOption": "Empty"}}}
    arm.done(arm.put(disk, body))
    place = private(arm, disk)
    with arm.control.store.read() as work:
        seen = work.hosts.disk(place["host"], place["disk"])
    assert seen is not None
    assert seen.size_bytes == 4 << 30
    arm.done(arm.delete(disk))
    with arm.control.store.read() as work:
        assert work.hosts.disk(place["host"], place["disk"]) is None
        assert work.hosts.spec(place["host"]).disks == ()


def test_a_new_process_goes_on_with_the_same_vms(database: str | Path, identity: Identity) -> None:
    with running(database, identity) as before:
        path = before.vm(before.group())
        identifier = private(before, path)["vm"]
    with running(database, identity, size=20) as after:
        assert after.power(path) == "running"
        with after.control.store.read() as work:
            seen = work.hosts.vm("sim-000000", identifier)
            capacities = [work.hosts.capacity(host) for host in work.hosts.names()]
        assert seen is not None
        assert seen.start_generation == 1
        assert len(capacities) == HOSTS
        assert sum(capacity is not None for capacity in capacities) == 20
        after.done(after.delete(path))
