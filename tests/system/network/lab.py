"""Guests without machines: a namespace whose eth0 is pumped, frame by frame, to the TAP that a QEMU would hold.

The lab's outside is a namespace too (`host`), with a toy internet behind it: 198.51.100.1 and 203.0.113.1.
"""

import contextlib
import itertools
import os
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Self, TypeVar

from pyroute2 import IPRoute, NFCTSocket
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

from skerry.host.network import netns, tap
from skerry.host.network.names import Names
from skerry.host.network.routed import NetworkProblems, RoutedNetwork
from skerry.hostspec import NsgSpec, PortSpec, SecurityRule, SubnetSpec, VnetSpec

T = TypeVar("T")
PATIENCE = 20
"""Seconds to wait for what comes in milliseconds unless the machine is busy."""
DROPPED_AFTER = 0.35
"""Seconds without an answer that count as dropped; an answer takes a millisecond."""
INTERNET = "203.0.113.1"
HOST = "198.51.100.2"


_numbers = itertools.count()


class Platform:
    """A GuestPlatform that tells a guest the name of its port."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, str, str]] = []

    def metadata(self, port: str) -> str | None:
        return f'{{"compute": {{"name": "{port}", "tagsList": [{{"name": "a", "value": "b"}}]}}, "network": {{}}}}'

    def vm(self, port: str) -> str | None:
        return f"vm-{port}"

    def report_health(self, port: str, state: Literal["Ready", "NotReady"], description: str) -> None:
        self.reports.append((port, state, description))


class Space:
    """A namespace of the test's own."""

    def __init__(self, name: str) -> None:
        self.name = f"skt-{os.getpid()}-{next(_numbers)}-{name}"
        self.path = netns.path(self.name)
        self._sockets: list[socket.socket] = []
        netns.create(self.name)
        self.inside(lambda: _set_up("lo"))

    def inside(self, work: Callable[[], T]) -> T:
        return netns.inside(self.path, work)

    def new_socket(self, kind: int = socket.SOCK_STREAM, source: str | None = None) -> socket.socket:
        sock = self.inside(lambda: socket.socket(socket.AF_INET, kind))
        self._sockets.append(sock)
        sock.settimeout(PATIENCE)
        if source:
            sock.bind((source, 0))
        return sock

    def listen(self, port: int, address: str = "0.0.0.0") -> socket.socket:
        sock = self.new_socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen()
        return sock

    def connect(self, address: str, port: int) -> socket.socket:
        sock = self.new_socket()
        sock.connect((address, port))
        return sock

    def reaches(self, address: str, port: int, patience: float = PATIENCE) -> bool:
        """Whether a TCP connection can be made."""
        with self.new_socket() as sock:
            sock.settimeout(patience)
            with contextlib.suppress(OSError):
                sock.connect((address, port))
                return True
            return False

    def is_cut_off(self, address: str, port: int) -> bool:
        """Whether a TCP connection can't be made: dropped or refused."""
        return not self.reaches(address, port, DROPPED_AFTER)

    def http(self, request: str, address: str = "169.254.169.254", port: int = 80) -> tuple[int, str]:
        """Status and body of an answer; `request` is its head without the last empty line, or all of it."""
        with self.connect(address, port) as sock:
            sock.sendall(request.encode() if "\r\n\r\n" in request else f"{request}\r\n\r\n".encode())
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    @contextlib.contextmanager
    def addressed(self, address: str) -> Iterator[None]:
        """Has one more address meanwhile."""
        self.inside(lambda: _loopback("add", address))
        try:
            yield
        finally:
            self.inside(lambda: _loopback("del", address))

    def hang_up(self) -> None:
        """Close every socket that was opened here."""
        while self._sockets:
            self._sockets.pop().close()

    def close(self) -> None:
        self.hang_up()
        netns.remove(self.name)


class FakeGuest(Space):
    """A running VM, as far as the network can tell."""

    def __init__(
        self, network: RoutedNetwork, port: PortSpec, *, configure: bool = True, tap: int | None = None
    ) -> None:
        """`tap`: a descriptor of the port's TAP, if it is open already."""
        super().__init__(port.id)
        self.port = port
        self._pump = _Pump(network.tap(port.id) if tap is None else tap, self.inside(_open_eth0))
        self.inside(lambda: _set_up("eth0", mac=port.mac))
        if configure:
            self.inside(self._configure)
            # The kernel takes up to a second to start sending on a link that came up.
            self.connect("168.63.129.16", 80).close()

    def _configure(self) -> None:
        """What a DHCP client would set up for a subnet of 24 bits."""
        gateway = self.port.address.rpartition(".")[0] + ".1"
        with IPRoute() as netlink:
            index = netlink.link_lookup(ifname="eth0")[0]
            netlink.addr("add", index=index, address=self.port.address, prefixlen=24)
            netlink.route("add", dst="default", gateway=gateway)

    def close(self) -> None:
        self._pump.close()
        super().close()


class _Pump:
    """Copies frames between two TAPs, their virtio-net headers included."""

    def __init__(self, left: int, right: int) -> None:
        self._pairs = {left: right, right: left}
        self._wake = os.eventfd(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for descriptor in (*self._pairs, self._wake):
                selector.register(descriptor, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == self._wake:
                        return
                    self._copy(key.fd)

    def _copy(self, descriptor: int) -> None:
        with contextlib.suppress(OSError):  # a device that is gone or down
            os.write(self._pairs[descriptor], os.read(descriptor, 70000))

    def close(self) -> None:
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        for descriptor in (*self._pairs, self._wake):
            os.close(descriptor)


class Lab:
    """A driver with the outside, the internet, and the guests that a test starts."""

    def __init__(self, state: Path) -> None:
        self.state, self.platform = state, Platform()
        self.host, self.internet = Space("host"), Space("internet")
        _cable(self.host, self.internet)
        self._guests: list[FakeGuest] = []
        self.clear()
        self.network = self.restart()

    def restart(self) -> RoutedNetwork:
        self.network = RoutedNetwork(self.state, self.platform, outside=self.host.path)
        return self.network

    def apply(self, *vnets: VnetSpec) -> None:
        self.network.apply(vnets)

    def problems(self, *vnets: VnetSpec) -> Sequence[tuple[str, str, str]]:
        try:
            self.network.apply(vnets)
        except NetworkProblems as error:
            return error.problems
        return ()

    def tracked(self, vnet: VnetSpec) -> set[str]:
        """The addresses in the VNet's table of connections."""
        return netns.inside(netns.path(Names.of(self.state).vnet(vnet.id)), _tracked_addresses)

    def guest(self, port: PortSpec, *, configure: bool = True) -> FakeGuest:
        guest = FakeGuest(self.network, port, configure=configure)
        self._guests.append(guest)
        return guest

    def stop_guests(self) -> None:
        while self._guests:
            self._guests.pop().close()

    def clear(self) -> None:
        """Nothing of a test is left: no guest, no listener but the internet's own, on its port 80."""
        self.stop_guests()
        self.host.hang_up()
        self.internet.hang_up()
        self.internet.listen(80)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_guests()
        self.network.close(keep=False)
        self.host.close()
        self.internet.close()


@contextlib.contextmanager
def guests(lab: Lab, *ports: PortSpec) -> Iterator[list[FakeGuest]]:
    """Started guests, stopped at the end."""
    try:
        yield [lab.guest(port) for port in ports]
    finally:
        lab.stop_guests()


def port(number: int, address: str, **more: object) -> PortSpec:
    """A port in subnet `s1` unless `subnet` says otherwise."""
    fields: dict[str, object] = {"subnet": "s1", "hostname": f"vm{number}", **more}
    return PortSpec(f"{number:08x}00", f"vm{number}", f"52:54:00:00:00:{number:02x}", address, **fields)  # type: ignore[arg-type]


def vnet(
    number: int,
    *ports: PortSpec,
    nsgs: Sequence[NsgSpec] = (),
    subnet_nsg: str | None = None,
    second_nsg: str | None = None,
    dns_servers: tuple[str, ...] = (),
) -> VnetSpec:
    """10.0.0.0/16 with the subnets s1 (10.0.0.0/24) and s2 (10.0.1.0/24)."""
    subnets = (SubnetSpec("s1", "10.0.0.0/24", subnet_nsg), SubnetSpec("s2", "10.0.1.0/24", second_nsg))
    return VnetSpec(f"{number:08x}ff", ("10.0.0.0/16",), subnets, tuple(nsgs), ports, dns_servers)


def rule(
    priority: int,
    direction: Literal["Inbound", "Outbound"],
    access: Literal["Allow", "Deny"],
    *ports: int,
    source: str = "*",
    destination: str = "*",
    protocol: Literal["Tcp", "Udp", "Icmp", "*"] = "*",
) -> SecurityRule:
    wanted = tuple((port, port) for port in ports) or ((0, 65535),)
    return SecurityRule(
        f"r{priority}", priority, direction, access, protocol, (source,), ((0, 65535),), (destination,), wanted
    )


DEFAULTS = (
    rule(65000, "Inbound", "Allow", source="VirtualNetwork", destination="VirtualNetwork"),
    rule(65001, "Inbound", "Allow", source="AzureLoadBalancer"),
    rule(65500, "Inbound", "Deny"),
    rule(65000, "Outbound", "Allow", source="VirtualNetwork", destination="VirtualNetwork"),
    rule(65001, "Outbound", "Allow", destination="Internet"),
    rule(65500, "Outbound", "Deny"),
)
"""Azure's six default rules."""


def nsg(name: str, *rules: SecurityRule) -> NsgSpec:
    return NsgSpec(name, (*rules, *DEFAULTS))


def echo(client: socket.socket, listener: socket.socket) -> socket.socket:
    """Accept the client's connection and see that both directions work."""
    served, _ = listener.accept()
    served.settimeout(PATIENCE)
    exchange(client, served)
    return served


def exchange(client: socket.socket, served: socket.socket) -> None:
    for one, other, word in ((client, served, b"to the server"), (served, client, b"to the client")):
        one.sendall(word)
        assert other.recv(100) == word


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2])) + (
        data[-1] << 8 if len(data) % 2 else 0
    )
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


def _tracked_addresses() -> set[str]:
    with NFCTSocket() as table:
        originals = [NFCTAttrTuple.from_netlink(2, entry.get("tuple_orig")) for entry in table.dump()]
    return {address for original in originals for address in (original.saddr, original.daddr)}


def _open_eth0() -> int:
    tap.create("eth0")
    return tap.open_existing("eth0")


def _set_up(name: str, mac: str | None = None) -> None:
    with IPRoute() as netlink:
        index = netlink.link_lookup(ifname=name)[0]
        if mac:
            netlink.link("set", index=index, address=mac)
        netlink.link("set", index=index, state="up")


def _cable(host: Space, internet: Space) -> None:
    def make() -> None:
        with IPRoute() as netlink, internet.path.open("rb") as target:
            netlink.link("add", ifname="eth0", kind="veth", peer={"ifname": "eth0", "net_ns_fd": target.fileno()})

    host.inside(make)
    host.inside(lambda: _address("eth0", HOST, gateway="198.51.100.1"))
    internet.inside(lambda: _address("eth0", "198.51.100.1"))
    internet.inside(lambda: _address("lo", INTERNET))


def _loopback(change: Literal["add", "del"], address: str) -> None:
    with IPRoute() as netlink:
        netlink.addr(change, index=1, address=address, prefixlen=32)


def _address(name: str, address: str, gateway: str | None = None) -> None:
    with IPRoute() as netlink:
        index = netlink.link_lookup(ifname=name)[0]
        netlink.link("set", index=index, state="up")
        netlink.addr("add", index=index, address=address, prefixlen=24)
        if gateway:
            netlink.route("add", dst="default", gateway=gateway)
