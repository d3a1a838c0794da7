import ipaddress
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.host.network import nsg
from skerry.hostspec import SecurityRule

VNET = ("10.0.0.0/16", "10.2.0.0/24")
PREFIXES = (
    "*",
    "0.0.0.0/0",
    "VirtualNetwork",
    "Internet",
    "AzureLoadBalancer",
    "Storage",
    "fd00::/8",
    "10.0.0.0/24",
    "10.0.0.4",
    "10.0.0.4/30",
    "10.0.1.0/16",
    "8.8.8.8/32",
    "128.0.0.0/1",
)
ADDRESSES = (
    *("10.0.0.4", "10.0.0.7", "10.0.0.8", "10.0.255.255", "10.1.0.0", "10.2.0.9", "9.255.255.255"),
    *("8.8.8.8", "127.0.0.1", "168.63.129.16", "168.63.129.17", "169.254.169.254", "0.0.0.0", "255.255.255.255"),
)
PORTS = (0, 1, 21, 22, 23, 79, 80, 443, 65535)

ranges = st.tuples(st.sampled_from(PORTS), st.sampled_from(PORTS)).map(lambda pair: (min(pair), max(pair)))
some_ranges = st.one_of(st.just(((0, 65535),)), st.lists(ranges, min_size=1, max_size=3).map(tuple))
some_prefixes = st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=3).map(tuple)
rules = st.builds(
    SecurityRule,
    name=st.just("r"),
    priority=st.integers(100, 4096),
    direction=st.sampled_from(["Inbound", "Outbound"]),
    access=st.sampled_from(["Allow", "Deny"]),
    protocol=st.sampled_from(["Tcp", "Udp", "Icmp", "Esp", "Ah", "*", "Sctp"]),
    source_prefixes=some_prefixes,
    source_ports=some_ranges,
    destination_prefixes=some_prefixes,
    destination_ports=some_ranges,
)
rule_lists = st.lists(rules, max_size=6, unique_by=lambda rule: (rule.priority, rule.direction))
packets = st.fixed_dictionaries(
    {
        "protocol": st.sampled_from(["Tcp", "Udp", "Icmp", "Esp", "Ah"]),
        "source": st.sampled_from(ADDRESSES),
        "source_port": st.sampled_from(PORTS),
        "destination": st.sampled_from(ADDRESSES),
        "destination_port": st.sampled_from(PORTS),
    }
)


def covers(prefix: str, address: str, access: str) -> bool:
    """The model: the words of Azure's documentation, one address at a time."""
    number = ipaddress.ip_address(address)
    in_vnet = any(number in ipaddress.ip_network(part) for part in VNET)
    match prefix:
        case "*":
            return True
        case "VirtualNetwork":
            return in_vnet
        case "AzureLoadBalancer":
            return address == "168.63.129.16"
        case "Internet":
            return not (in_vnet or address == "168.63.129.16" or address.startswith("169.254."))
        case "Storage":
            return access == "Deny"
    return number in ipaddress.ip_network(prefix, strict=False)


def matches(rule: SecurityRule, packet: dict[str, Any]) -> bool:
    ported = packet["protocol"] in ("Tcp", "Udp")
    any_protocol = rule.protocol == "*" or (rule.protocol not in nsg.NUMBERS and rule.access == "Deny")
    if not any_protocol and rule.protocol != packet["protocol"]:
        return False
    for prefixes, address in (
        (rule.source_prefixes, packet["source"]),
        (rule.destination_prefixes, packet["destination"]),
    ):
        if not any(covers(prefix, address, rule.access) for prefix in prefixes):
            return False
    for wanted, port in (
        (rule.source_ports, packet["source_port"]),
        (rule.destination_ports, packet["destination_port"]),
    ):
        if ported and not any(first <= port <= last for first, last in wanted):
            return False
        if not ported and any_protocol and not is_every_port(wanted):
            return False
    return True


def is_every_port(wanted: Sequence[tuple[int, int]]) -> bool:
    beside = {first - 1 for first, _ in wanted} | {last + 1 for _, last in wanted}
    return all(any(first <= port <= last for first, last in wanted) for port in (beside - {-1, 65536}) | {0, 65535})


def model(rules: Sequence[SecurityRule], direction: str, packet: dict[str, Any]) -> SecurityRule | None:
    candidates = [rule for rule in rules if rule.direction == direction and matches(rule, packet)]
    return min(candidates, key=lambda rule: rule.priority, default=None)


@settings(max_examples=400, deadline=None)
@given(rule_lists, st.sampled_from(["Inbound", "Outbound"]), packets)
def test_decides_as_the_documentation_says(found: list[SecurityRule], direction: str, packet: dict[str, Any]) -> None:
    assert nsg.decide(found, direction, **packet, vnet_prefixes=VNET) == model(found, direction, packet)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))))
def test_merged_intervals_hold_the_same_numbers(parts: list[tuple[int, int]]) -> None:
    merged = nsg.merged(parts)
    assert {n for a, b in merged for n in range(a, b + 1)} == {n for a, b in parts for n in range(a, b + 1)}
    assert all(left[1] + 1 < right[0] for left, right in pairwise(merged))


@given(st.lists(st.integers(0, 31)))
def test_a_complement_is_everything_else(blocks: list[int]) -> None:
    size = 2**27
    parts = nsg.merged((block * size, (block + 1) * size - 1) for block in blocks)
    both = nsg.merged([*parts, *nsg.complement(parts)])
    assert both == nsg.ANY_ADDRESS
    assert sum(b - a + 1 for a, b in [*parts, *nsg.complement(parts)]) == 2**32
