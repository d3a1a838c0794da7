"""Public addresses: loopback addresses of the outside that lead to guests."""

import gc
import socket

import pytest
from tests.system.network.lab import PATIENCE, FakeGuest, Lab, echo, exchange, guests, nsg, port, rule, vnet

from skerry.hostspec import NsgSpec, VnetSpec

ADDRESS = "127.20.0.5"
SSH = nsg("ssh", rule(100, "Inbound", "Allow", 22, 80))


def public(group: NsgSpec | None = SSH, subnet: NsgSpec | None = None, *, is_open: bool = False) -> VnetSpec:
    groups = [level for level in (group, subnet) if level]
    guest = port(1, "10.0.0.4", nsg=group.id if group else None, public_address=ADDRESS, public_open=is_open)
    return vnet(1, guest, nsgs=groups, subnet_nsg=subnet.id if subnet else None)


def test_allowed_ports_lead_to_the_guest(lab: Lab) -> None:
    lab.apply(public())
    with guests(lab, *public().ports) as (one,):
        listener = one.listen(22)
        client = lab.host.connect(ADDRESS, 22)
        with echo(client, listener) as served:
            assert served.getpeername()[0] == "10.0.0.1"
            client.shutdown(socket.SHUT_WR)
            assert served.recv(1) == b""
            served.sendall(b"still open this way")
            assert client.recv(100) == b"still open this way"
        assert client.recv(1) == b""
        assert lab.host.is_cut_off(ADDRESS, 23)


def test_a_silent_half_closed_connection_lives_on(lab: Lab) -> None:
    lab.apply(public())
    with guests(lab, *public().ports) as (one,):
        listener = one.listen(22)
        client = lab.host.connect(ADDRESS, 22)
        with echo(client, listener) as served:
            client.shutdown(socket.SHUT_WR)
            assert served.recv(1) == b""
            for word in (b"soon", b"later", b"last"):
                served.sendall(word)
                assert client.recv(100) == word
                gc.collect()  # would take a task along that nothing but its peer's reader holds


def test_connections_end_with_the_port(lab: Lab) -> None:
    lab.apply(public())
    with guests(lab, *public().ports) as (one,):
        listener = one.listen(22)
        client = lab.host.connect(ADDRESS, 22)
        with echo(client, listener):
            lab.apply()
            assert client.recv(1) == b""


def test_large_amounts_arrive_whole(lab: Lab) -> None:
    lab.apply(public())
    with guests(lab, *public().ports) as (one,):
        listener = one.listen(22)
        client = lab.host.connect(ADDRESS, 22)
        served, _ = listener.accept()
        text = bytes(range(256)) * 4096
        with served:
            client.setblocking(True)
            received = bytearray()
            sent = 0
            client.settimeout(PATIENCE)
            served.settimeout(PATIENCE)
            while sent < len(text):
                sent += client.send(text[sent : sent + 65536])
                received += served.recv(65536)
            while len(received) < len(text):
                received += served.recv(65536)
            assert received == text


def test_both_levels_and_changes_count_and_connections_stay(lab: Lab) -> None:
    lab.apply(public())
    with guests(lab, *public().ports) as (one,):
        listener = one.listen(22)
        one.listen(80)
        client = lab.host.connect(ADDRESS, 22)
        with echo(client, listener) as served:
            lab.apply(public(subnet=nsg("web", rule(100, "Inbound", "Allow", 80))))
            assert lab.host.is_cut_off(ADDRESS, 22)
            assert lab.host.reaches(ADDRESS, 80)
            exchange(client, served)


def test_a_rule_for_another_client_lets_nobody_of_this_host_in(lab: Lab) -> None:
    lab.apply(public(nsg("n", rule(100, "Inbound", "Allow", 22, source="203.0.113.7"))))
    assert lab.host.is_cut_off(ADDRESS, 22)


def test_without_a_group_the_kind_of_address_decides(lab: Lab) -> None:
    lab.apply(public(None))
    assert lab.host.is_cut_off(ADDRESS, 22)
    lab.apply(public(None, is_open=True))
    with guests(lab, *public().ports) as (one,):
        for number in (22, 8080):
            with echo_by(lab, one, number):
                pass


def test_a_vm_that_does_not_run_refuses_at_once(lab: Lab) -> None:
    lab.apply(public())
    client = lab.host.connect(ADDRESS, 22)
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_port_in_use_is_named_and_the_rest_works(lab: Lab) -> None:
    lab.apply()
    taken = lab.host.listen(80)
    problems = lab.problems(public())
    assert [problem[:2] for problem in problems] == [("publicAddress", ADDRESS)]
    assert "TCP port 80" in problems[0][2]
    with guests(lab, *public().ports) as (one,):
        with echo_by(lab, one, 22):
            pass
        taken.close()
        assert lab.problems(public()) == ()
        with echo_by(lab, one, 80):
            pass


def test_ssh_is_forwarded_elsewhere_where_the_hosts_own_server_has_its_port(lab: Lab) -> None:
    lab.apply()
    with lab.host.listen(22):
        assert lab.problems(public()) == ()
    with guests(lab, *public().ports) as (one,):
        listener = one.listen(22)
        with echo(lab.host.connect(ADDRESS, 20022), listener):
            pass
        lab.apply(public())
        with echo(lab.host.connect(ADDRESS, 22), listener):
            pass


def test_the_guests_group_in_the_kernel_is_not_asked_again(lab: Lab) -> None:
    """The forwarder's connection comes from the gateway: a rule that denies the VNet must not catch it."""
    group = nsg("n", rule(100, "Inbound", "Deny", source="VirtualNetwork"), rule(200, "Inbound", "Allow", 22))
    lab.apply(public(group))
    with guests(lab, *public(group).ports) as (one,), echo_by(lab, one, 22):
        pass


def echo_by(lab: Lab, guest: FakeGuest, number: int) -> socket.socket:
    """A connection to the public address that works in both directions; the guest's end of it."""
    listener = guest.listen(number)
    return echo(lab.host.connect(ADDRESS, number), listener)
