"""The way out: one slirp4netns for the host, in a router namespace that every VNet has a veth to.

slirp4netns makes ordinary sockets of this process's network out of the packets it reads, so no interface, route or
firewall of the host changes. VNets may overlap: each one's namespace translates to a transfer address of its own first.
All addresses in here are link-local (169.254/16), the one range that no VNet can have.

    VNet namespace  up 169.254.64.n/32 ── veth ── v-… router namespace  tap0 169.254.2.100 ── slirp4netns ── outside
                    snat to 169.254.64.n          169.254.1.1           masquerade
"""

import hashlib
import ipaddress
import shutil
import socket
import time
from functools import partial
from pathlib import Path

from pyroute2 import IPRoute

from skerry.host.errors import HostError
from skerry.host.network import netns, nftables
from skerry.host.network.daemons import Daemon, find
from skerry.host.network.names import UPLINK, Names, router_port
from skerry.host.network.netns import sysctl
from skerry.host.network.rules import TABLE
from skerry.host.run import ENVIRONMENT, start

ROUTER = "169.254.1.1"
SLIRP_NETWORK = "169.254.2.0/24"
SLIRP_ADDRESS = "169.254.2.100"
SLIRP_GATEWAY = "169.254.2.2"
UPSTREAM_DNS = "169.254.2.3"
"""slirp4netns answers here with the host's own resolver."""
TRANSFER = ipaddress.IPv4Network("169.254.64.0/18")
MTU = 65520
READY_SECONDS = 10
_ONLINK = 4  # RTNH_F_ONLINK: the gateway is on the link although no route says so

_ROUTER_RULES = f"""table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  chain %s {{ }}
  chain transit {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname != "v-*" drop
    oifname != "tap0" drop
    ip daddr {UPSTREAM_DNS} meta l4proto {{ tcp, udp }} th dport 53 accept
    ip daddr {{ %s }} drop
    accept
  }}
  chain to_router {{
    type filter hook input priority filter; policy drop;
    ct state established,related accept
  }}
  chain leave {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "tap0" masquerade
  }}
}}
"""


class Egress:
    """Outbound traffic of all VNets. `outside` is the namespace that slirp4netns makes its sockets in."""

    def __init__(self, names: Names, outside: Path) -> None:
        self._names, self._outside = names, outside
        self._router = netns.path(names.router)
        self._slirp = Daemon(names.runtime / "slirp.json", _slirp_argv(self._router))
        self._shielded: list[str] = []

    def apply(self, *, anew: bool = False) -> None:
        """Router namespace, its rules (`anew` even if they seem right) and slirp4netns. Raises HostError."""
        if netns.create(self._names.router):
            self._slirp.stop()  # what runs serves a namespace that has lost its name
        netns.inside(self._router, _prepare_router)
        self._shielded = self._own_addresses()
        nftables.replace(self._router, *_router_rules(self._shielded), anew=anew)
        if not self._slirp.running():
            self._start()
        netns.inside(self._router, _configure_slirp)

    def connect(self, vnet: str, namespace: Path, *, anew: bool = False) -> None:
        """Join a VNet's namespace to the router."""
        port = router_port(vnet)
        address = netns.inside(self._router, lambda: _transfer_address(port))
        ends = ((namespace, UPLINK), (self._router, port))
        if not all(netns.inside(space, partial(_has_link, name)) for space, name in ends):
            for space, name in ends:
                netns.inside(space, partial(_drop_link, name))
            netns.inside(self._router, lambda: _make_veth(port, namespace))
        netns.inside(self._router, lambda: _router_side(port, address))
        netns.inside(namespace, lambda: _vnet_side(address))
        nftables.replace(namespace, _snat_mark(address), _snat_rules(address), anew=anew)

    def sound(self) -> bool:
        """Whether slirp4netns lives and every address that the host has now is shielded."""
        return self._slirp.running() and self._own_addresses() == self._shielded

    def close(self) -> None:
        """End slirp4netns and take the router namespace away."""
        self._slirp.stop()
        netns.remove(self._names.router)

    @property
    def _launcher(self) -> list[str]:
        return ["nsenter", f"--net={self._outside}", "setsid", "--fork", "unshare", "--mount"]

    def _own_addresses(self) -> list[str]:
        return netns.inside(self._outside, _own_addresses)

    def _start(self) -> None:
        """`setsid --fork` hands the process to init: nobody has to wait for it when Skerry goes.

        Its sandbox unmounts what it sees, and named namespaces are shared mounts: without a private copy of the mount
        table (`unshare --mount`) every named namespace of the host would go.
        """
        self._slirp.stop()
        if not self._await_no_device():
            raise HostError("tap0 of the router is held by a process that Skerry has no record of; end that one")
        log = self._names.runtime / "slirp.log"
        with log.open("wb") as output:
            launcher = start([*self._launcher, *self._slirp.argv], output=output)
            launcher.wait(READY_SECONDS)
        if not self._await_device():
            raise HostError(f"slirp4netns failed: {log.read_text()[-500:]}; VMs run, but without a way out")
        self._slirp.adopt(find(self._slirp.argv, launchers=True)[0])

    def _await_no_device(self) -> bool:
        """Whether tap0 is gone; the kernel removes it some time after the process that made it has ended."""
        deadline = time.monotonic() + READY_SECONDS
        while netns.inside(self._router, lambda: _has_link("tap0")):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _await_device(self) -> bool:
        """Whether tap0 came up; slirp4netns forks a helper that makes it, which must have ended too.

        A process that is just being replaced by another program shows no arguments: it is gone only when it stays so.
        """
        unseen, deadline = 0, time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and unseen < 10:
            pids = find(self._slirp.argv, launchers=True)
            if len(pids) == 1 and netns.inside(self._router, lambda: _has_link("tap0")):
                return True
            unseen = 0 if pids else unseen + 1
            time.sleep(0.02)
        return False


def available() -> bool:
    """Whether slirp4netns is installed."""
    return shutil.which("slirp4netns", path=ENVIRONMENT["PATH"]) is not None


def _slirp_argv(router: Path) -> list[str]:
    return [
        "slirp4netns",
        f"--mtu={MTU}",
        f"--cidr={SLIRP_NETWORK}",
        "--disable-host-loopback",
        "--enable-sandbox",
        "--enable-seccomp",
        "--netns-type=path",
        str(router),
        "tap0",
    ]


def _router_rules(shielded: list[str]) -> tuple[str, str]:
    """Fingerprint and transaction. slirp4netns could dial the host's own addresses like anybody else's: refuse those.

    They are in the one transaction with all rules, since between two there would be a moment without them.
    """
    mark = f"router_{hashlib.sha256(' '.join(shielded).encode()).hexdigest()[:16]}"
    return mark, _ROUTER_RULES % (mark, ", ".join(["127.0.0.0/8", "169.254.0.0/16", *shielded]))


def _prepare_router() -> None:
    sysctl("ipv4/ip_forward", "1")
    for scope in ("all", "default"):
        sysctl(f"ipv6/conf/{scope}/disable_ipv6", "1")
        sysctl(f"ipv4/conf/{scope}/rp_filter", "1")
    with IPRoute() as netlink:
        netlink.link("set", index=1, state="up")
        _ensure_address(netlink, 1, ROUTER, 32)


def _configure_slirp() -> None:
    with IPRoute() as netlink:
        index = netlink.link_lookup(ifname="tap0")[0]
        netlink.link("set", index=index, mtu=MTU, state="up")
        _ensure_address(netlink, index, SLIRP_ADDRESS, 24)
        netlink.route("replace", dst="default", gateway=SLIRP_GATEWAY, oif=index)


def _has_link(name: str) -> bool:
    return name in {entry for _, entry in socket.if_nameindex()}


def _drop_link(name: str) -> None:
    """What is left of a pair that was half-made, or whose other end is gone."""
    with IPRoute() as netlink:
        for index in netlink.link_lookup(ifname=name):
            netlink.link("del", index=index)


def _make_veth(port: str, namespace: Path) -> None:
    """Runs in the router."""
    with IPRoute() as netlink, namespace.open("rb") as target:
        netlink.link("add", ifname=port, kind="veth", peer={"ifname": UPLINK, "net_ns_fd": target.fileno()})


def _router_side(port: str, address: str) -> None:
    with IPRoute() as netlink:
        index = netlink.link_lookup(ifname=port)[0]
        netlink.link("set", index=index, state="up")
        netlink.route("replace", dst=f"{address}/32", oif=index, scope="link")


def _vnet_side(address: str) -> None:
    with IPRoute() as netlink:
        index = netlink.link_lookup(ifname=UPLINK)[0]
        netlink.link("set", index=index, state="up")
        _ensure_address(netlink, index, address, 32)
        for destination in (f"{UPSTREAM_DNS}/32", "default"):
            netlink.route("replace", dst=destination, gateway=ROUTER, oif=index, prefsrc=address, flags=_ONLINK)


def _transfer_address(port: str) -> str:
    """The address routed to `port` already, or the first that no other VNet has."""
    with IPRoute() as netlink:
        names = {link["index"]: link.get("ifname") for link in netlink.get_links()}
        taken = {route.get("dst"): names.get(route.get("oif")) for route in netlink.get_routes(family=2)}
    mine = next((address for address, name in taken.items() if name == port), None)
    return mine or next(text for host in TRANSFER.hosts() if (text := str(host)) not in taken)


def _ensure_address(netlink: IPRoute, index: int, address: str, length: int) -> None:
    if address not in {entry.get("address") for entry in netlink.get_addr(family=2, index=index)}:
        netlink.addr("add", index=index, address=address, prefixlen=length)


def _own_addresses() -> list[str]:
    with IPRoute() as netlink:
        found = {entry.get("address") for entry in netlink.get_addr(family=2)}
    return sorted(address for address in found if not address.startswith(("127.", "169.254.")))


def _snat_mark(address: str) -> str:
    return f"snat_{address.replace('.', '_')}"


def _snat_rules(address: str) -> str:
    """A table of its own: replacing the VNet's rules never touches the translations in use."""
    table = f"{TABLE}_nat"
    return f"""table ip {table}
delete table ip {table}
table ip {table} {{
  chain {_snat_mark(address)} {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{UPLINK}" snat to {address}
  }}
}}
"""
