"""Restarts, adoption, removal, daemons that die."""

import os
import signal
from pathlib import Path

import orjson
import pytest
from tests.system.cloud import until
from tests.system.network.lab import INTERNET, FakeGuest, Lab, echo, exchange, guests, nsg, port, rule, vnet
from tests.system.network.test_platform import lease, resolve

from skerry.host.compute.qemu import process
from skerry.host.errors import HostError
from skerry.host.network import netns
from skerry.host.network.names import Names
from skerry.host.network.routed import NetworkProblems, RoutedNetwork, leftovers

PAIR = vnet(1, port(1, "10.0.0.4", nsg="n"), port(2, "10.0.0.5", nsg="n"), nsgs=[nsg("n")])


def pids(state: Path) -> dict[str, int]:
    """The recorded daemons."""
    return {
        str(record.relative_to(Names.of(state).runtime)): orjson.loads(record.read_bytes())["pid"]
        for record in Names.of(state).runtime.rglob("*.json")
    }


def test_a_restart_adopts_everything_under_running_guests(own_lab: Lab) -> None:
    own_lab.apply(PAIR)
    with guests(own_lab, *PAIR.ports) as (one, two):
        listener = two.listen(80)
        client = one.connect("10.0.0.5", 80)
        with echo(client, listener) as served:
            before = pids(own_lab.state)
            own_lab.network.close(keep=True)
            exchange(client, served)
            own_lab.restart()
            own_lab.apply(PAIR)
            exchange(client, served)
            assert pids(own_lab.state) == before
            assert len(before) == 2
            assert one.http("GET /metadata/versions HTTP/1.1\r\nHost: x\r\nMetadata: true")[0] == 200
            assert one.reaches(INTERNET, 80)
            own_lab.apply(vnet(1, *PAIR.ports, nsgs=[nsg("n", rule(100, "Inbound", "Deny"))]))
            assert one.is_cut_off("10.0.0.5", 80)
            exchange(client, served)


def test_the_tap_of_a_machine_that_stood_by_takes_the_place_of_its_port_s(own_lab: Lab) -> None:
    own_lab.apply(PAIR)
    one, two = PAIR.ports
    held = own_lab.network.tap(one.id)  # as by an agent that is about to start a QEMU
    own_lab.network.adopt(one.id, tap := own_lab.network.idle_tap())
    os.close(held)
    with guests(own_lab, two) as (other,):
        guest = FakeGuest(own_lab.network, one, tap=tap)
        try:
            assert guest.http("GET /metadata/versions HTTP/1.1\r\nHost: x\r\nMetadata: true")[0] == 200
            with other.listen(80):
                assert guest.reaches("10.0.0.5", 80)
            own_lab.apply(PAIR)
            assert guest.reaches(INTERNET, 80)
        finally:
            guest.close()
    os.close(own_lab.network.tap(one.id))  # it stays, as any
    with pytest.raises(HostError, match="in no network"):
        own_lab.network.adopt("0000000900", own_lab.network.idle_tap())


def test_a_tap_has_one_holder(own_lab: Lab) -> None:
    own_lab.apply(PAIR)
    first = own_lab.network.tap(PAIR.ports[0].id)
    with pytest.raises(HostError, match="still held by a running QEMU"):
        own_lab.network.tap(PAIR.ports[0].id)
    os.close(first)
    os.close(own_lab.network.tap(PAIR.ports[0].id))
    with pytest.raises(HostError, match="in no network"):
        own_lab.network.tap("0000000900")


def test_daemons_that_died_come_back(own_lab: Lab) -> None:
    own_lab.apply(PAIR)
    for pid in pids(own_lab.state).values():
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: process.look_up(pid) is None, 60, "the daemon's end")  # type: ignore[misc]
    own_lab.apply(PAIR)
    with guests(own_lab, *PAIR.ports) as (one, two):
        assert resolve(one, "vm2") == "10.0.0.5"
        assert two.reaches(INTERNET, 80)


def test_a_record_of_somebody_elses_process_harms_nobody(own_lab: Lab) -> None:
    own_lab.apply(PAIR)
    for record in Names.of(own_lab.state).runtime.rglob("*.json"):
        facts = orjson.loads(record.read_bytes())
        os.kill(facts["pid"], signal.SIGKILL)
        record.write_bytes(orjson.dumps({**facts, "pid": os.getpid()}))
    own_lab.network.close(keep=False)
    assert leftovers(own_lab.state) == []


def test_close_leaves_nothing_even_under_running_guests(own_lab: Lab) -> None:
    own_lab.apply(PAIR, vnet(2, port(3, "10.0.0.4")))
    with guests(own_lab, *PAIR.ports):
        assert len(leftovers(own_lab.state)) == 8  # 4 namespaces, the folder, 2 dnsmasq, slirp4netns
        own_lab.network.close(keep=False)
        assert leftovers(own_lab.state) == []


def test_what_is_not_named_any_more_is_taken_down(own_lab: Lab) -> None:
    own_lab.apply(PAIR, vnet(2, port(3, "10.0.0.4")))
    own_lab.apply(PAIR)
    names = Names.of(own_lab.state)
    assert set(netns.names(names.prefix)) == {names.vnet(PAIR.id), names.guests, names.router}
    assert set(pids(own_lab.state)) == {"slirp.json", f"{names.vnet(PAIR.id)}/dnsmasq.json"}


def test_two_skerrys_leave_each_other_alone(own_lab: Lab, tmp_path: Path) -> None:
    own_lab.apply(PAIR)
    other = RoutedNetwork(tmp_path / "other", own_lab.platform, outside=own_lab.host.path)
    other.apply([PAIR])
    other.close(keep=False)
    assert leftovers(tmp_path / "other") == []
    with guests(own_lab, *PAIR.ports) as (one, two):
        two.listen(80)
        assert one.reaches("10.0.0.5", 80)


def test_one_bad_vnet_keeps_no_other_from_working(own_lab: Lab) -> None:
    bad = vnet(2, port(3, "not an address"))
    with pytest.raises(NetworkProblems) as caught:
        own_lab.apply(bad, PAIR)
    assert {problem[1] for problem in caught.value.problems} == {bad.id}
    with guests(own_lab, *PAIR.ports) as (one, two):
        two.listen(80)
        assert one.reaches("10.0.0.5", 80)


def test_an_address_can_change_under_a_running_guest(own_lab: Lab) -> None:
    own_lab.apply(PAIR)
    guest = own_lab.guest(PAIR.ports[0], configure=False)
    assert lease(guest, guest.port.mac)[0] == "10.0.0.4"
    own_lab.apply(vnet(1, port(1, "10.0.0.9")))
    until(lambda: lease(guest, guest.port.mac)[0] == "10.0.0.9", 60, "dnsmasq has read the leases again")


def test_addresses_can_change_places(own_lab: Lab) -> None:
    own_lab.apply(vnet(1, port(1, "10.0.0.4"), port(2, "10.0.0.5")))
    swapped = vnet(1, port(1, "10.0.0.5"), port(2, "10.0.0.4"))
    own_lab.apply(swapped)
    with guests(own_lab, *swapped.ports) as (one, two):
        two.listen(80)
        assert one.reaches("10.0.0.4", 80)
