"""A VNet's packet rules as one nftables transaction. Pure: a VnetSpec in, nft's own language out.

One chain per NSG and direction, shared by every NIC and subnet that uses it; verdict maps keyed by the port's interface
lead there. In such a chain `return` is Azure's Allow (the next group has its say), `drop` its Deny. A packet between
two guests passes the sender's NIC and subnet group, then the receiver's subnet and NIC group; platform services end in
or start from the namespace itself and never come by.

nft 1.0.6 takes `fwd`, `dnat`, `input` and `forward` for keywords, not for chain names, and handles large anonymous
interval sets in quadratic time: intervals get a named set, shared by content.
"""

import hashlib
import ipaddress
from collections.abc import Iterable, Sequence

from skerry.host.network import nsg
from skerry.host.network.names import TAP_PREFIX, UPLINK, tap_name
from skerry.hostspec import NsgSpec, PortSpec, SecurityRule, VnetSpec

TABLE = "skerry"
FORWARDER_MARK = 0x736B
"""Carried by the forwarder's own connections, whose rules are looked at before they are dialled."""
ASKING = "200/second burst 400 packets"
"""What a port may ask of DNS and DHCP; one dnsmasq serves a whole VNet, and above this a guest only starves itself."""
OPENING = "50/second burst 200 packets"
"""Connections that a port may open to metadata, wire server and DNS."""

_BASE = f"""
  chain from_port {{
    type filter hook prerouting priority raw; policy accept;
    iifname != "{TAP_PREFIX}*" accept
    meta nfproto ipv6 drop
    iifname . ether saddr . ip saddr @senders accept
    iifname . ether saddr @macs ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
    drop
  }}
  set asking {{ typeof iifname; flags dynamic; size 65535; }}
  set opening {{ typeof iifname; flags dynamic; size 65535; }}
  chain to_platform {{
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    iifname "{TAP_PREFIX}*" meta l4proto udp update @asking {{ iifname limit rate over {ASKING} }} drop
    iifname "{TAP_PREFIX}*" tcp flags & (syn | ack) == syn update @opening {{ iifname limit rate over {OPENING} }} drop
    ct state established,related accept
    iifname != "{TAP_PREFIX}*" drop
    udp sport 68 udp dport 67 iifname . @th,288,48 @hardware accept
    ip daddr 168.63.129.16 meta l4proto {{ tcp, udp }} th dport 53 accept
    ip daddr 168.63.129.16 tcp dport {{ 80, 32526 }} accept
    ip daddr 169.254.169.254 tcp dport 80 accept
  }}
  chain from_platform {{
    type filter hook output priority filter; policy drop;
    oifname != "{TAP_PREFIX}*" accept
    ct state established,related accept
    meta mark {FORWARDER_MARK:#x} accept
    udp sport 67 udp dport 68 accept
  }}
  chain between {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct state invalid drop
    iifname != "{TAP_PREFIX}*" drop
    ip daddr {{ 127.0.0.0/8, 168.63.129.16, 169.254.0.0/16, 224.0.0.0/3 }} drop
    iifname vmap @nic_out
    iifname vmap @subnet_out
    oifname vmap @subnet_in
    oifname vmap @nic_in
    oifname {{ "{TAP_PREFIX}*", "{UPLINK}" }} accept
  }}
"""


def render(vnet: VnetSpec) -> tuple[str, str]:
    """The fingerprint of the VNet's rules, and the transaction that replaces whatever is there by them.

    The fingerprint is the name of an empty chain, so that the kernel itself tells what it runs.
    """
    body = _body(vnet)
    mark = f"v_{hashlib.sha256(body.encode()).hexdigest()[:24]}"
    families = "".join(f"table {family} {TABLE}\ndelete table {family} {TABLE}\n" for family in ("inet", "arp"))
    return mark, f"{families}table inet {TABLE} {{\n  chain {mark} {{ }}\n{body}"


def _body(vnet: VnetSpec) -> str:
    sets: dict[str, str] = {}
    chains = [chain for group in vnet.nsgs for chain in _nsg_chains(group, vnet.prefixes, sets)]
    parts = [*_port_sets(vnet.ports), *sets.values(), *chains, *_verdict_maps(vnet), _BASE]
    return "\n".join(parts) + "}\n" + _arp_table(vnet.ports)


def _port_sets(ports: Sequence[PortSpec]) -> list[str]:
    """Who may send; and whom a DHCP request may be for: 48 bits of BOOTP's chaddr, 36 bytes into UDP (RFC 951).

    Otherwise a guest could decline or release its neighbour's lease.
    """
    senders = [f'"{tap_name(port.id)}" . {_mac(port.mac)} . {_address(port.address)}' for port in ports]
    macs = [f'"{tap_name(port.id)}" . {_mac(port.mac)}' for port in ports]
    hardware = [f'"{tap_name(port.id)}" . 0x{_mac(port.mac).replace(":", "")}' for port in ports]
    return [
        _collection("set senders", "typeof iifname . ether saddr . ip saddr;", senders),
        _collection("set macs", "typeof iifname . ether saddr;", macs),
        _collection("set hardware", "typeof iifname . @th,288,48;", hardware),
    ]


def _arp_table(ports: Sequence[PortSpec]) -> str:
    """A guest may only speak ARP for itself: the kernel's neighbour table is one for the whole host."""
    known = [f'"{tap_name(port.id)}" . {_mac(port.mac)} . {_address(port.address)}' for port in ports]
    known += [f'"{tap_name(port.id)}" . {_mac(port.mac)} . 0.0.0.0' for port in ports]
    senders = _collection("set senders", "typeof iifname . arp saddr ether . arp saddr ip;", known)
    return f"""table arp {TABLE} {{
{senders}
  chain from_port {{
    type filter hook input priority filter; policy accept;
    iifname != "{TAP_PREFIX}*" accept
    iifname . arp saddr ether . arp saddr ip @senders accept
    drop
  }}
}}
"""


def _verdict_maps(vnet: VnetSpec) -> list[str]:
    chains = {group.id: _chain_name(group.id) for group in vnet.nsgs}
    subnets = {subnet.id: subnet.nsg for subnet in vnet.subnets}
    nic = {tap_name(port.id): port.nsg for port in vnet.ports}
    subnet = {tap_name(port.id): subnets.get(port.subnet) for port in vnet.ports}
    return [
        _verdict_map(f"{level}_{way}", groups, chains, way)
        for level, groups in (("nic", nic), ("subnet", subnet))
        for way in ("in", "out")
    ]


def _verdict_map(name: str, groups: dict[str, str | None], chains: dict[str, str], way: str) -> str:
    """A group that is named but not described drops everything."""
    elements = [
        f'"{tap}" : {f"jump {chains[group]}_{way}" if group in chains else "drop"}'
        for tap, group in groups.items()
        if group is not None
    ]
    return _collection(f"map {name}", "typeof iifname : verdict;", elements)


def _nsg_chains(group: NsgSpec, vnet_prefixes: tuple[str, ...], sets: dict[str, str]) -> list[str]:
    return [
        "\n".join(
            [
                f"  chain {_chain_name(group.id)}_{way} {{",
                *_rule_lines(group, direction, vnet_prefixes, sets),
                "    drop",
                "  }",
            ]
        )
        for way, direction in (("in", "Inbound"), ("out", "Outbound"))
    ]


def _rule_lines(group: NsgSpec, direction: str, vnet_prefixes: tuple[str, ...], sets: dict[str, str]) -> Iterable[str]:
    for rule in sorted(group.rules, key=lambda rule: rule.priority):
        if rule.direction == direction:
            yield from _rule_line(rule, vnet_prefixes, sets)


def _rule_line(rule: SecurityRule, vnet_prefixes: tuple[str, ...], sets: dict[str, str]) -> Iterable[str]:
    match = nsg.match_of(rule, vnet_prefixes)
    portless = match.protocols is None or not set(match.protocols) & set(nsg.WITH_PORTS)
    sides = [("ip saddr", match.sources), ("ip daddr", match.destinations)]
    ports = [] if portless else [("th sport", match.source_ports), ("th dport", match.destination_ports)]
    if match.protocols == () or any(not parts for _, parts in [*sides, *ports]):
        return
    conditions = [
        _protocol_condition(match.protocols),
        *(_condition(key, parts, sets) for key, parts in [*sides, *ports]),
    ]
    verdict = "return" if rule.access == "Allow" else "drop"
    yield "    " + " ".join([*filter(None, conditions), verdict])


def _protocol_condition(protocols: tuple[str, ...] | None) -> str:
    if protocols is None:
        return ""
    return f"meta l4proto {{ {', '.join(str(nsg.NUMBERS[name]) for name in protocols)} }}"


def _condition(key: str, parts: nsg.Intervals, sets: dict[str, str]) -> str:
    is_address = key.startswith("ip")
    if parts == (nsg.ANY_ADDRESS if is_address else nsg.ANY_PORT):
        return ""
    texts = [_address_range(part) if is_address else _port_range(part) for part in parts]
    if len(texts) == 1:
        return f"{key} {texts[0]}"
    name = f"{'a' if is_address else 'p'}_{hashlib.sha256(','.join(texts).encode()).hexdigest()[:16]}"
    kind = "ipv4_addr" if is_address else "inet_service"
    sets[name] = _collection(f"set {name}", f"type {kind}; flags interval;", texts)
    return f"{key} @{name}"


def _address_range(part: nsg.Interval) -> str:
    first, last = (ipaddress.IPv4Address(number) for number in part)
    return f"{first}-{last}" if first != last else str(first)


def _port_range(part: nsg.Interval) -> str:
    return f"{part[0]}-{part[1]}" if part[0] != part[1] else str(part[0])


def _collection(head: str, kind: str, elements: list[str]) -> str:
    content = f" elements = {{ {', '.join(elements)} }};" if elements else ""
    return f"  {head} {{ {kind}{content} }}"


def _chain_name(group: str) -> str:
    return f"g_{hashlib.sha256(group.encode()).hexdigest()[:16]}"


def _mac(text: str) -> str:
    octets = bytes.fromhex(text.replace(":", "").replace("-", ""))
    if len(octets) != 6:
        raise ValueError(f"{text!r} is not a MAC address")
    return octets.hex(":")


def _address(text: str) -> str:
    return str(ipaddress.IPv4Address(text))
