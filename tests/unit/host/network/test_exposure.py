from skerry.host.network.exposure import COMMON_PORTS, MAX_LISTENERS, Public, listeners, open_ports, publics
from skerry.hostspec import NsgSpec, PortSpec, SecurityRule, SubnetSpec, VnetSpec


def rule(priority: int, access: str, ports: tuple[tuple[int, int], ...], **more: object) -> SecurityRule:
    fields = {
        "protocol": "Tcp",
        "source_prefixes": ("Internet",),
        "source_ports": ((0, 65535),),
        "destination_prefixes": ("*",),
        **more,
    }
    return SecurityRule("r", priority, "Inbound", access, destination_ports=ports, **fields)  # type: ignore[arg-type]


def public(*groups: tuple[SecurityRule, ...], is_open: bool = False) -> Public:
    return Public("p", "127.1.0.1", "10.0.0.4", is_open, groups, ("10.0.0.0/16",))


def test_open_ports_are_those_every_group_allows() -> None:
    first = (rule(100, "Deny", ((25, 25),)), rule(200, "Allow", ((22, 30), (80, 80))))
    second = (rule(100, "Allow", ((0, 79),)),)
    assert open_ports(public(first, second)) == ((22, 24), (26, 30))


def test_rules_for_other_clients_protocols_and_addresses_open_nothing() -> None:
    for more in (
        {"source_prefixes": ("203.0.113.7",)},
        {"protocol": "Udp"},
        {"destination_prefixes": ("10.0.0.5",)},
        {"source_prefixes": ("VirtualNetwork",)},
    ):
        assert open_ports(public((rule(100, "Allow", ((22, 22),), **more),))) == ()


def test_a_rule_on_source_ports_opens_the_port_and_is_asked_again_per_client() -> None:
    guest = public((rule(100, "Allow", ((22, 22),), source_ports=((1000, 1009),)),))
    assert open_ports(guest) == ((22, 22),)
    assert guest.admits("127.0.0.1", 1005, 22)
    assert not guest.admits("127.0.0.1", 1010, 22)


def test_without_groups_the_kind_of_address_decides() -> None:
    assert open_ports(public()) == ()
    assert open_ports(public(is_open=True)) == ((1, 65535),)


def test_few_ports_are_all_listened_on() -> None:
    assert listeners(((22, 22), (8000, 8002))) == ([22, 8000, 8001, 8002], 0)


def test_wide_ranges_give_way_to_explicit_and_common_ports() -> None:
    chosen, left_out = listeners(((2, 60000), (60007, 60007)))
    assert chosen[0] == 60007
    assert set(COMMON_PORTS) <= set(chosen)
    assert len(chosen) == len(set(chosen)) == MAX_LISTENERS
    assert left_out == 60000 - MAX_LISTENERS


def test_a_vnets_public_guests_carry_their_groups_from_the_outside_in() -> None:
    nic, subnet = NsgSpec("nic", (rule(1, "Allow", ((1, 1),)),)), NsgSpec("sub", (rule(2, "Deny", ((1, 1),)),))
    ports = (
        PortSpec("aaaaaaaa1", "vm", "52:54:00:00:00:01", "10.0.0.4", "s", "one", "nic", "127.1.0.1"),
        PortSpec("bbbbbbbb2", "vm", "52:54:00:00:00:02", "10.0.0.5", "s", "two", "nic"),
    )
    vnet = VnetSpec("cccccccc3", ("10.0.0.0/16",), (SubnetSpec("s", "10.0.0.0/24", "sub"),), (nic, subnet), ports)
    (only,) = publics(vnet)
    assert (only.port, only.private, only.groups) == ("aaaaaaaa1", "10.0.0.4", (subnet.rules, nic.rules))


def test_a_group_that_is_not_described_lets_nothing_in() -> None:
    port = PortSpec("aaaaaaaa1", "vm", "52:54:00:00:00:01", "10.0.0.4", "s", "one", "gone", "127.1.0.1", True)
    vnet = VnetSpec("cccccccc3", ("10.0.0.0/16",), (SubnetSpec("s", "10.0.0.0/24"),), (), (port,))
    assert open_ports(publics(vnet)[0]) == ()
