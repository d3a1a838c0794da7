"""Azure's network security group semantics, as a pure function.

Rules of one direction are looked at by rising priority; the first that matches decides, none means denied. Source:
Azure's "Network security groups" page (how rules are evaluated, service tags). A rule of a kind that isn't known here
never widens access: an Allow matches nothing then, a Deny everything that the rest of it says.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skerry.hostspec import SecurityRule

Interval = tuple[int, int]
"""Inclusive (first, last), of addresses as integers or of ports."""
Intervals = tuple[Interval, ...]
"""Sorted, disjoint and not adjacent."""

ANY_ADDRESS: Intervals = ((0, 2**32 - 1),)
ANY_PORT: Intervals = ((0, 65535),)
PLATFORM = int(ipaddress.IPv4Address("168.63.129.16"))
LINK_LOCAL: Interval = (int(ipaddress.IPv4Address("169.254.0.0")), int(ipaddress.IPv4Address("169.254.255.255")))

NUMBERS = {"Tcp": 6, "Udp": 17, "Icmp": 1, "Esp": 50, "Ah": 51}
"""IP protocol numbers of the names a rule may use."""
WITH_PORTS = ("Tcp", "Udp")


@dataclass(frozen=True)
class Match:
    """What one rule matches, made plain. `protocols` None: every protocol; an empty part matches nothing."""

    protocols: tuple[str, ...] | None
    sources: Intervals
    source_ports: Intervals
    destinations: Intervals
    destination_ports: Intervals


def decide(
    rules: Sequence[SecurityRule],
    direction: str,
    *,
    protocol: str,
    source: str,
    source_port: int,
    destination: str,
    destination_port: int,
    vnet_prefixes: Sequence[str],
) -> SecurityRule | None:
    """The rule that decides about a new flow; None when no rule matches (denied).

    `protocol` is one of NUMBERS' names; ports are ignored for those without ports.
    """
    here, there = int(ipaddress.IPv4Address(source)), int(ipaddress.IPv4Address(destination))
    for rule in sorted(rules, key=lambda rule: rule.priority):
        if rule.direction != direction:
            continue
        if _matches(match_of(rule, vnet_prefixes), protocol, (here, source_port), (there, destination_port)):
            return rule
    return None


def match_of(rule: SecurityRule, vnet_prefixes: Sequence[str]) -> Match:
    """The rule made plain, for a VNet with `vnet_prefixes`."""
    unknown = ANY_ADDRESS if rule.access == "Deny" else ()
    protocols = _protocols(rule)
    portless = protocols is not None and not set(protocols) & set(WITH_PORTS)
    source_ports = ANY_PORT if portless else merged(rule.source_ports)
    destination_ports = ANY_PORT if portless else merged(rule.destination_ports)
    if protocols is None and (source_ports, destination_ports) != (ANY_PORT, ANY_PORT):
        protocols = WITH_PORTS
    return Match(
        protocols,
        _addresses(rule.source_prefixes, vnet_prefixes, unknown),
        source_ports,
        _addresses(rule.destination_prefixes, vnet_prefixes, unknown),
        destination_ports,
    )


def merged(parts: Iterable[Interval]) -> Intervals:
    """Any intervals as sorted, disjoint, non-adjacent ones; reversed ones are dropped."""
    result: list[Interval] = []
    for first, last in sorted(part for part in parts if part[0] <= part[1]):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return tuple(result)


def complement(parts: Intervals) -> Intervals:
    """The addresses that aren't in `parts`."""
    result: list[Interval] = []
    begin = 0
    for first, last in parts:
        result.append((begin, first - 1))
        begin = last + 1
    return merged([*result, (begin, ANY_ADDRESS[0][1])])


def local_addresses(vnet_prefixes: Sequence[str]) -> Intervals:
    """Everything that the tag `Internet` leaves out."""
    return merged([*prefix_intervals(vnet_prefixes), (PLATFORM, PLATFORM), LINK_LOCAL])


def prefix_intervals(prefixes: Iterable[str]) -> Intervals:
    """IPv4 CIDRs as intervals. Raises ValueError for anything else."""
    networks = [ipaddress.IPv4Network(prefix, strict=False) for prefix in prefixes]
    return merged((int(network[0]), int(network[-1])) for network in networks)


def _protocols(rule: SecurityRule) -> tuple[str, ...] | None:
    if rule.protocol == "*":
        return None
    if rule.protocol in NUMBERS:
        return (rule.protocol,)
    return None if rule.access == "Deny" else ()


def _addresses(prefixes: Sequence[str], vnet_prefixes: Sequence[str], unknown: Intervals) -> Intervals:
    return merged(part for prefix in prefixes for part in _one_prefix(prefix, vnet_prefixes, unknown))


def _one_prefix(prefix: str, vnet_prefixes: Sequence[str], unknown: Intervals) -> Intervals:
    match prefix:
        case "*":
            return ANY_ADDRESS
        case "VirtualNetwork":
            return prefix_intervals(vnet_prefixes)
        case "Internet":
            return complement(local_addresses(vnet_prefixes))
        case "AzureLoadBalancer":
            return ((PLATFORM, PLATFORM),)
    try:
        network = ipaddress.ip_network(prefix, strict=False)
    except ValueError:
        return unknown
    return ((int(network[0]), int(network[-1])),) if network.version == 4 else ()


def _matches(match: Match, protocol: str, source: tuple[int, int], destination: tuple[int, int]) -> bool:
    if match.protocols is not None and protocol not in match.protocols:
        return False
    if not (_within(source[0], match.sources) and _within(destination[0], match.destinations)):
        return False
    if protocol not in WITH_PORTS:
        return True
    return _within(source[1], match.source_ports) and _within(destination[1], match.destination_ports)


def _within(value: int, parts: Intervals) -> bool:
    return any(first <= value <= last for first, last in parts)
