"""Network security groups in the kernel's data plane."""

import socket

import pytest
from tests.system.network.lab import Lab, echo, exchange, guests, nsg, port, rule, vnet

from skerry.hostspec import NsgSpec, VnetSpec


def pair(nsgs: list[NsgSpec], first: str | None, second: str | None, **levels: str | None) -> VnetSpec:
    """Two guests in different subnets."""
    return vnet(1, port(1, "10.0.0.4", nsg=first), port(2, "10.0.1.4", nsg=second, subnet="s2"), nsgs=nsgs, **levels)  # type: ignore[arg-type]


def test_guests_of_one_vnet_reach_each_other(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4"), port(2, "10.0.1.4", subnet="s2"), port(3, "10.0.0.5"))
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one, two, three):
        two.listen(80)
        three.listen(80)
        assert one.reaches("10.0.1.4", 80)
        assert one.reaches("10.0.0.5", 80)


@pytest.mark.parametrize(
    ("levels", "direction"),
    [
        ({"second": "n"}, "Inbound"),
        ({"first": "n"}, "Outbound"),
        ({"second_nsg": "n"}, "Inbound"),
        ({"subnet_nsg": "n"}, "Outbound"),
    ],
    ids=["nic-in", "nic-out", "subnet-in", "subnet-out"],
)
def test_a_group_decides_at_nic_and_subnet(lab: Lab, levels: dict[str, str], direction: str) -> None:
    group = nsg("n", rule(100, direction, "Deny", 81))  # type: ignore[arg-type]
    spec = pair([group], **{"first": None, "second": None, **levels})
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one, two):
        two.listen(80)
        two.listen(81)
        assert one.reaches("10.0.1.4", 80)
        assert one.is_cut_off("10.0.1.4", 81)


def test_both_levels_must_allow(lab: Lab) -> None:
    groups = [nsg("a", rule(100, "Inbound", "Deny", 81)), nsg("b", rule(100, "Inbound", "Deny", 82))]
    spec = pair(groups, None, "a", second_nsg="b")
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one, two):
        for number in (80, 81, 82):
            two.listen(number)
        assert one.reaches("10.0.1.4", 80)
        assert one.is_cut_off("10.0.1.4", 81)
        assert one.is_cut_off("10.0.1.4", 82)


def test_the_lower_priority_number_wins(lab: Lab) -> None:
    rules = (
        rule(300, "Inbound", "Allow", 80, 81),
        rule(200, "Inbound", "Deny", 81),
        rule(100, "Inbound", "Allow", 82),
        rule(150, "Inbound", "Deny", 82),
    )
    spec = pair([nsg("n", *rules)], None, "n")
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one, two):
        for number in (80, 81, 82):
            two.listen(number)
        assert one.reaches("10.0.1.4", 80)
        assert one.is_cut_off("10.0.1.4", 81)
        assert one.reaches("10.0.1.4", 82)


def test_the_groups_apply_within_one_subnet(lab: Lab) -> None:
    spec = vnet(
        1,
        port(1, "10.0.0.4"),
        port(2, "10.0.0.5"),
        nsgs=[nsg("n", rule(100, "Inbound", "Deny", source="10.0.0.0/24"))],
        subnet_nsg="n",
    )
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one, two):
        two.listen(80)
        assert one.is_cut_off("10.0.0.5", 80)


def test_a_group_that_is_not_described_closes_the_port(lab: Lab) -> None:
    spec = pair([], None, "missing")
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one, two):
        two.listen(80)
        assert one.is_cut_off("10.0.1.4", 80)


def test_a_new_deny_stops_new_flows_and_keeps_established_ones(lab: Lab) -> None:
    spec = pair([nsg("n")], None, "n")
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one, two):
        listener = two.listen(80)
        client = one.connect("10.0.1.4", 80)
        with echo(client, listener) as served:
            lab.apply(pair([nsg("n", rule(100, "Inbound", "Deny"))], None, "n"))
            exchange(client, served)
            assert one.is_cut_off("10.0.1.4", 80)
            lab.apply(pair([nsg("n", rule(100, "Inbound", "Allow"))], None, "n"))
            assert one.reaches("10.0.1.4", 80)
            exchange(client, served)


def test_a_removed_nic_takes_its_flows_along(lab: Lab) -> None:
    """Who gets the address next inherits nothing."""
    spec = pair([], None, None)
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one, two):
        listener = two.listen(80)
        with echo(one.connect("10.0.1.4", 80), listener):
            assert "10.0.1.4" in lab.tracked(spec)
            lab.apply(vnet(1, spec.ports[0]))
            assert "10.0.1.4" not in lab.tracked(spec)


def test_udp_passes_by_the_same_rules(lab: Lab) -> None:
    spec = pair([nsg("n", rule(100, "Inbound", "Deny", 54, protocol="Udp"))], None, "n")
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one, two):
        open_port, closed_port = two.new_socket(socket.SOCK_DGRAM), two.new_socket(socket.SOCK_DGRAM)
        open_port.bind(("10.0.1.4", 53))
        closed_port.bind(("10.0.1.4", 54))
        sender = one.new_socket(socket.SOCK_DGRAM)
        sender.sendto(b"closed", ("10.0.1.4", 54))
        sender.sendto(b"open", ("10.0.1.4", 53))
        assert open_port.recv(100) == b"open"
        closed_port.settimeout(0.1)
        with pytest.raises(TimeoutError):
            closed_port.recv(100)
