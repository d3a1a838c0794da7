"""Which ports of a public address are open, as the security groups have it. Pure.

A client's own address is what the rules are asked about; one on this host (127/8) counts as Internet. The address it
asked for is translated before the rules are looked at, as on Azure: they see the guest's private address.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from skerry.host.network import nsg
from skerry.hostspec import NsgSpec, PortSpec, SecurityRule, VnetSpec

CLIENT = "127.0.0.1"
MAX_LISTENERS = 1024
"""Per public address. Explicit ports come first, then COMMON_PORTS, then the lowest of what wide ranges are left."""
COMMON_PORTS = (22, 80, 443, 3389, 5985, 5986, 8080, 8443, 3306, 5432, 6379, 27017, 3000, 5000, 8000, 9090)


@dataclass(frozen=True)
class Public:
    """A guest with a public address, and the rule lists that a packet to it passes: its subnet's, then its NIC's.

    Without any list `open` decides: Azure's Basic public addresses let everything in, Standard ones nothing.
    """

    port: str
    public: str
    private: str
    open: bool
    groups: tuple[tuple[SecurityRule, ...], ...]
    vnet_prefixes: tuple[str, ...]

    def admits(self, client: str, client_port: int, tcp_port: int) -> bool:
        """Whether a TCP connection from `client` may come in."""
        if not self.groups:
            return self.open
        return all(self._allows(rules, client, client_port, tcp_port) for rules in self.groups)

    def _allows(self, rules: Sequence[SecurityRule], client: str, client_port: int, tcp_port: int) -> bool:
        rule = nsg.decide(
            rules,
            "Inbound",
            protocol="Tcp",
            source=client,
            source_port=client_port,
            destination=self.private,
            destination_port=tcp_port,
            vnet_prefixes=self.vnet_prefixes,
        )
        return rule is not None and rule.access == "Allow"


def publics(vnet: VnetSpec) -> list[Public]:
    """The guests of a VNet that have a public address."""
    return [_public(vnet, port) for port in vnet.ports if port.public_address]


def open_ports(public: Public) -> nsg.Intervals:
    """TCP ports that some client on this host could be let in by, whatever its source port."""
    rules = [rule for group in public.groups for rule in group]
    targets = _pieces((part for rule in rules for part in rule.destination_ports), first=1)
    sources = [first for first, _ in _pieces((part for rule in rules for part in rule.source_ports), first=1)]
    return nsg.merged(part for part in targets if any(public.admits(CLIENT, source, part[0]) for source in sources))


def listeners(ports: nsg.Intervals) -> tuple[list[int], int]:
    """The ports to listen on (MAX_LISTENERS at most), and how many open ones that leaves out."""
    narrow_first = sorted(ports, key=lambda part: part[1] - part[0])
    explicit = [port for first, last in narrow_first if last - first < MAX_LISTENERS for port in range(first, last + 1)]
    wide = [part for part in narrow_first if part[1] - part[0] >= MAX_LISTENERS]
    common = [port for port in COMMON_PORTS if any(first <= port <= last for first, last in wide)]
    lowest = [port for first, last in wide for port in range(first, min(last, first + MAX_LISTENERS) + 1)]
    chosen = list(dict.fromkeys([*explicit, *common, *lowest]))[:MAX_LISTENERS]
    return chosen, sum(last - first + 1 for first, last in ports) - len(chosen)


def _pieces(parts: Iterable[nsg.Interval], first: int) -> list[nsg.Interval]:
    """The port space cut wherever one of `parts` begins or ends: all ports of a piece fare alike."""
    cuts = {first, 65536}
    for begin, end in parts:
        cuts |= {max(begin, first), min(end, 65535) + 1}
    edges = sorted(cut for cut in cuts if first <= cut <= 65536)
    return [(begin, end - 1) for begin, end in pairwise(edges)]


def _public(vnet: VnetSpec, port: PortSpec) -> Public:
    subnet_group = next((subnet.nsg for subnet in vnet.subnets if subnet.id == port.subnet), None)
    groups = tuple(_rules(vnet.nsgs, group) for group in (subnet_group, port.nsg) if group is not None)
    return Public(port.id, port.public_address or "", port.address, port.public_open, groups, vnet.prefixes)


def _rules(groups: Sequence[NsgSpec], wanted: str) -> tuple[SecurityRule, ...]:
    """A group that is named but not described has no rules: nothing comes in."""
    return next((group.rules for group in groups if group.id == wanted), ())
