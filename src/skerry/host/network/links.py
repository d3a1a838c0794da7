"""Devices, addresses, routes and neighbours inside a VNet's namespace, compared and mended by netlink.

Azure's virtual networks are routed: no broadcast reaches another guest, ARP is answered by the platform for everybody
with one fixed MAC, and each guest hangs on a port of its own. So every TAP is a point-to-point link: proxy ARP on it, a
/32 route and a permanent neighbour behind it.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pyroute2 import IPRoute

from skerry.host.network import tap
from skerry.host.network.names import TAP_PREFIX, UPLINK
from skerry.host.network.netns import sysctl

GATEWAY_MAC = "12:34:56:78:9a:bc"
"""The MAC of every Azure gateway as a guest sees it."""
PLATFORM_ADDRESSES = ("168.63.129.16", "169.254.169.254")
_PERMANENT = 0x80
_MAIN_TABLE = 254
_UNICAST, _UNREACHABLE = 1, 7


@dataclass(frozen=True)
class Guest:
    """What is behind a TAP. `gateway` is what the platform's own connections to it come from."""

    mac: str
    address: str
    gateway: str


@dataclass(frozen=True)
class Layout:
    """A VNet's devices as they should be: addresses on lo (/32), CIDRs that end here unless a guest has them, TAPs."""

    addresses: frozenset[str]
    unreachable: frozenset[str]
    guests: Mapping[str, Guest]


@dataclass(frozen=True)
class Outcome:
    """Interface indexes by TAP, and the addresses whose guest went away or changed."""

    indexes: Mapping[str, int]
    vacated: frozenset[str]


class Route(NamedTuple):
    """A route of the main table, as far as it is compared. `device` is an interface index."""

    kind: int
    destination: str
    device: int | None
    source: str | None


def prepare() -> None:
    """Settings of a fresh namespace. Runs inside it."""
    # Forwarding first: the kernel resets the others when it is switched on.
    sysctl("ipv4/ip_forward", "1")
    for scope in ("all", "default"):
        sysctl(f"ipv6/conf/{scope}/disable_ipv6", "1")
        sysctl(f"ipv4/conf/{scope}/rp_filter", "0")
        sysctl(f"ipv4/conf/{scope}/accept_redirects", "0")
        sysctl(f"ipv4/conf/{scope}/send_redirects", "0")
    with IPRoute() as netlink:
        netlink.link("set", index=1, state="up")


def reconcile(layout: Layout) -> Outcome:
    """Make the namespace of the calling thread as `layout` says, touching only what differs."""
    with IPRoute() as netlink:
        # First, since the kernel drops routes along with the address that they prefer as a source.
        _addresses(netlink, layout.addresses)
        routes = _routes(netlink)
        _unreachable(netlink, layout.unreachable, routes)
        present = _taps()
        vacated = _vacated(layout, present, routes)
        for name in present.keys() - layout.guests.keys():
            netlink.link("del", index=present[name])
        for name in layout.guests.keys() - present.keys():
            tap.create(name)
        indexes = {name: index for name, index in _taps().items() if name in layout.guests}
        _ports(netlink, layout.guests, indexes, routes)
        return Outcome(indexes, vacated)


def hand_over(name: str, namespace: Path) -> None:
    """Move a TAP from the namespace of the calling thread to another one."""
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with IPRoute() as netlink:
            netlink.link("set", index=socket.if_nametoindex(name), net_ns_fd=descriptor)
    finally:
        os.close(descriptor)


def replace(name: str, by: str) -> None:
    """Let the TAP `by` have the name of another one, which goes if it is there. Runs inside their namespace."""
    with IPRoute() as netlink:
        if name in (present := _taps()):
            netlink.link("del", index=present[name])
        netlink.link("set", index=socket.if_nametoindex(by), ifname=name)


def remove_all() -> None:
    """Take every TAP and the uplink away. A QEMU that still holds a TAP would keep the whole namespace alive."""
    with IPRoute() as netlink:
        for link in netlink.get_links():
            if link.get("ifname", "").startswith(TAP_PREFIX) or link.get("ifname") == UPLINK:
                netlink.link("del", index=link["index"])


def _taps() -> dict[str, int]:
    return {name: index for index, name in socket.if_nameindex() if name.startswith(TAP_PREFIX)}


def _routes(netlink: IPRoute) -> set[Route]:
    return {
        Route(
            route["type"], f"{route.get('dst') or '0.0.0.0'}/{route['dst_len']}", route.get("oif"), route.get("prefsrc")
        )
        for route in netlink.get_routes(family=2)
        if route.get("table") == _MAIN_TABLE
    }


def _addresses(netlink: IPRoute, wanted: frozenset[str]) -> None:
    present = {entry.get("address"): entry["prefixlen"] for entry in netlink.get_addr(family=2, index=1)}
    ours = {address for address in present if address and not address.startswith("127.")}
    for address in ours - wanted:
        netlink.addr("del", index=1, address=address, prefixlen=present[address])
    for address in wanted - ours:
        netlink.addr("add", index=1, address=address, prefixlen=32)


def _unreachable(netlink: IPRoute, wanted: frozenset[str], routes: set[Route]) -> None:
    present = {route.destination for route in routes if route.kind == _UNREACHABLE}
    for prefix in wanted - present:
        netlink.route("add", dst=prefix, type="unreachable")
    for prefix in present - wanted:
        netlink.route("del", dst=prefix, type="unreachable")


def _ports(netlink: IPRoute, guests: Mapping[str, Guest], indexes: Mapping[str, int], routes: set[Route]) -> None:
    neighbours = {
        (entry["ifindex"], entry.get("dst"), entry.get("lladdr"))
        for entry in netlink.get_neighbours(family=2)
        if entry["state"] == _PERMANENT
    }
    links = {link["index"]: link for link in netlink.get_links()}
    # What is stale goes first, everywhere: an address may move from one TAP to another.
    _drop_stale(netlink, {indexes[name]: guest for name, guest in guests.items()}, routes, neighbours)
    for name, guest in guests.items():
        index = indexes[name]
        _link(netlink, name, links[index])
        if Route(_UNICAST, f"{guest.address}/32", index, guest.gateway) not in routes:
            netlink.route("replace", dst=f"{guest.address}/32", oif=index, scope="link", prefsrc=guest.gateway)
        if (index, guest.address, guest.mac) not in neighbours:
            netlink.neigh("replace", dst=guest.address, lladdr=guest.mac, ifindex=index, state="permanent")


def _drop_stale(
    netlink: IPRoute,
    guests: Mapping[int | None, Guest],
    routes: set[Route],
    neighbours: set[tuple[int, str, str]],
) -> None:
    for route in routes:
        if route.device in guests and route.destination != f"{guests[route.device].address}/32":
            netlink.route("del", dst=route.destination, oif=route.device, scope="link")
    for device, address, _ in neighbours:
        if device in guests and address != guests[device].address:
            netlink.neigh("del", dst=address, ifindex=device)


def _link(netlink: IPRoute, name: str, link: Any) -> None:
    sysctl(f"ipv4/conf/{name}/proxy_arp", "1")
    sysctl(f"ipv4/neigh/{name}/proxy_delay", "0")
    if link.get("address") != GATEWAY_MAC:
        netlink.link("set", index=link["index"], address=GATEWAY_MAC)
    if not link["flags"] & 1:
        netlink.link("set", index=link["index"], state="up")


def _vacated(layout: Layout, present: Mapping[str, int], routes: set[Route]) -> frozenset[str]:
    """Addresses that a TAP has a route for and `layout` gives to another TAP or to none."""
    names = {index: name for name, index in present.items()}
    behind = {(names[route.device], route.destination.removesuffix("/32")) for route in routes if route.device in names}
    return frozenset(address for name, address in behind if _address_of(layout, name) != address)


def _address_of(layout: Layout, name: str) -> str | None:
    guest = layout.guests.get(name)
    return guest.address if guest else None
