"""Metadata, wire server, DHCP and DNS as a guest sees them."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import pytest
from tests.system.cloud import until
from tests.system.network.lab import FakeGuest, Lab, guests, nsg, port, rule, vnet

from skerry.host.network import services
from skerry.host.network.dhcp import domain
from skerry.host.network.services import MAX_CONNECTIONS, REPORTS

T = TypeVar("T")
CLOSED = nsg("closed", rule(100, "Inbound", "Deny"), rule(100, "Outbound", "Deny"))
INSTANCE = "GET /metadata/instance?api-version=2021-08-01&extended=true HTTP/1.1\r\nHost: x\r\nMetadata: true"


def test_metadata_tells_the_same_address_in_two_vnets_apart_whatever_the_groups(lab: Lab) -> None:
    specs = [vnet(n, port(n, "10.0.0.4", nsg="closed"), nsgs=[CLOSED], subnet_nsg="closed") for n in (1, 2)]
    lab.apply(*specs)
    with guests(lab, *(spec.ports[0] for spec in specs)) as both:
        for guest in both:
            status, body = guest.http(INSTANCE)
            assert status == 200
            assert f'"name":"{guest.port.id}"' in body


def test_metadata_refuses_as_azure_does(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4"))
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one,):
        assert one.http("GET /metadata/instance?api-version=2021-08-01 HTTP/1.1\r\nHost: x")[0] == 400
        assert one.http(INSTANCE + "\r\nX-Forwarded-For: 1.2.3.4")[0] == 400
        assert one.http(INSTANCE.replace("GET", "POST"))[0] == 405
        assert one.http(INSTANCE + f"\r\nCookie: {'x' * 20000}")[0] == 431
        name = INSTANCE.replace("/instance?", "/instance/compute/name?format=text&")
        assert one.http(name) == (200, one.port.id)


def test_a_guest_provisions_by_the_wire_server(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4", nsg="closed"), nsgs=[CLOSED])
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one,):
        status, goal = one.http("GET /machine/?comp=goalstate HTTP/1.1\r\nHost: x", "168.63.129.16")
        assert status == 200
        assert f"<ContainerId>vm-{one.port.id}</ContainerId>" in goal
        report = "<Health><Container><Health><State>Ready</State></Health></Container></Health>"
        post = f"POST /machine?comp=health HTTP/1.1\r\nHost: x\r\nContent-Length: {len(report)}\r\n\r\n{report}"
        assert one.http(post, "168.63.129.16")[0] == 200
        assert lab.platform.reports.pop() == (one.port.id, "Ready", "")
        assert one.http("GET /health HTTP/1.1\r\nHost: x", "168.63.129.16", 32526)[0] == 200


def test_a_guest_that_hoards_connections_harms_only_itself(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4"), port(2, "10.0.0.5"))
    lab.apply(spec)
    with guests(lab, *spec.ports) as (greedy, other):
        for _ in range(MAX_CONNECTIONS):
            greedy.connect("169.254.169.254", 80).sendall(b"GET /metadata/instance HTTP/1.1\r\n")
        surplus = greedy.connect("169.254.169.254", 80)
        assert surplus.recv(1) == b""
        assert other.http(INSTANCE)[0] == 200


def test_in_a_crowd_everybody_has_a_few(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "CROWDED", 2)
    spec = vnet(1, port(51, "10.0.0.4"), port(52, "10.0.0.5"))
    lab.apply(spec)
    with guests(lab, *spec.ports) as (greedy, other):
        for _ in range(services.FEW):
            greedy.connect("169.254.169.254", 80).sendall(b"GET /metadata/instance HTTP/1.1\r\n")
        assert greedy.connect("169.254.169.254", 80).recv(1) == b""
        assert other.http(INSTANCE)[0] == 200


def test_a_guest_that_floods_starves_only_itself(lab: Lab) -> None:
    spec = vnet(1, port(41, "10.0.0.4", hostname="greedy"), port(42, "10.0.0.5", hostname="other"))
    lab.apply(spec)
    with guests(lab, *spec.ports) as (greedy, other):
        with flood(greedy):
            for _ in range(20):
                assert resolve(other, "greedy") == "10.0.0.4"
                assert other.http(INSTANCE)[0] == 200
        answered, seconds = ask_fast(greedy, 3000)
        assert answered < 450 + 200 * seconds  # rules.ASKING, and those that were on their way
        assert ask_fast(other, 100)[0] > 50


@contextmanager
def flood(guest: FakeGuest) -> Iterator[None]:
    """DNS queries and connections as fast as they go."""
    over = threading.Event()

    def run() -> None:
        query = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + _question("example.invalid", 1)
        with guest.new_socket(socket.SOCK_DGRAM) as sock:
            while not over.is_set():
                for _ in range(100):
                    sock.sendto(query, ("168.63.129.16", 53))
                with guest.new_socket() as opening, suppress(OSError):
                    opening.setblocking(False)
                    opening.connect(("169.254.169.254", 80))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def ask_fast(guest: FakeGuest, times: int) -> tuple[int, float]:
    """How many of so many DNS queries in a row are answered, and how long asking took."""
    query = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + _question("greedy", 1)
    answered, began = 0, time.monotonic()
    with guest.new_socket(socket.SOCK_DGRAM) as sock:
        for number in range(times):
            sock.sendto(query, ("168.63.129.16", 53))
            sock.settimeout(1.0 if number == times - 1 else 0)
            with suppress(TimeoutError, BlockingIOError):
                while sock.recv(2000):
                    answered += 1
    return answered, time.monotonic() - began


def test_reports_of_health_are_limited(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4"), port(2, "10.0.0.5"))
    lab.apply(spec)
    report = "<Health><State>NotReady</State></Health>"
    post = f"POST /machine?comp=health HTTP/1.1\r\nHost: x\r\nContent-Length: {len(report)}\r\n\r\n{report}"
    with guests(lab, *spec.ports) as (one, other):
        statuses = [one.http(post, "168.63.129.16")[0] for _ in range(REPORTS + 3)]
        assert statuses[0] == 200
        assert 429 in statuses
        assert one.http(INSTANCE)[0] == 200
        assert other.http(post, "168.63.129.16")[0] == 200


def test_dhcp_hands_out_what_azure_does(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4", nsg="closed"), port(2, "10.0.1.9", subnet="s2"), nsgs=[CLOSED])
    lab.apply(spec)
    for number, gateway in ((0, "10.0.0.1"), (1, "10.0.1.1")):
        guest = lab.guest(spec.ports[number], configure=False)
        address, options = lease(guest, guest.port.mac)
        router = socket.inet_aton(gateway)
        platform = bytes.fromhex("20a83f8110") + router + bytes.fromhex("20a9fea9fe") + router
        assert address == guest.port.address
        assert options[1] == socket.inet_aton("255.255.255.0")
        assert options[3] == router
        assert options[6] == options[245] == socket.inet_aton("168.63.129.16")
        assert options[15].decode() == domain(spec.id)
        assert options[121] == platform + b"\x00" + router


def test_dhcp_knows_added_guests_and_nobody_else(lab: Lab) -> None:
    lab.apply(vnet(1, port(1, "10.0.0.4")))
    spec = vnet(1, port(1, "10.0.0.4"), port(2, "10.0.0.5"), dns_servers=("10.0.0.4",))
    lab.apply(spec)
    guest = lab.guest(spec.ports[1], configure=False)
    address, options = lease(guest, guest.port.mac)
    assert (address, options[6]) == ("10.0.0.5", socket.inet_aton("10.0.0.4"))
    with pytest.raises(TimeoutError):
        lease(guest, spec.ports[0].mac, patience=0.2)


def test_names_of_the_vnet_resolve(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4", nsg="closed", hostname="web"), nsgs=[CLOSED])
    lab.apply(spec)
    spec = vnet(1, *spec.ports, port(2, "10.0.1.4", subnet="s2", hostname="Db"), nsgs=[CLOSED])
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one, two):
        until(lambda: resolve(one, "db") == "10.0.1.4", 60, "dnsmasq has read the names again")
        assert resolve(one, f"db.{domain(spec.id)}") == "10.0.1.4"
        assert resolve(two, "web") == "10.0.0.4"
        assert resolve(two, f"none.{domain(spec.id)}") is None
        assert reverse(two, "10.0.0.4") == f"web.{domain(spec.id)}"


def test_names_stay_in_their_vnet(lab: Lab) -> None:
    first, second = vnet(1, port(1, "10.0.0.4", hostname="web")), vnet(2, port(2, "10.0.0.9", hostname="web"))
    lab.apply(first, second)
    with guests(lab, first.ports[0], second.ports[0]) as (one, two):
        assert (resolve(one, "web"), resolve(two, "web")) == ("10.0.0.4", "10.0.0.9")


def lease(guest: FakeGuest, mac: str, patience: float = 2) -> tuple[str, dict[int, bytes]]:
    """DISCOVER, then REQUEST (RFC 2131), the way a kernel without an address has to: raw frames in."""
    with (
        guest.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))) as raw,
        guest.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender,
    ):
        raw.settimeout(patience)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        sender.bind(("0.0.0.0", 68))
        while True:
            address, offer = _ask(raw, sender, mac, b"\x35\x01\x01")
            chosen = b"\x35\x01\x03\x32\x04" + socket.inet_aton(address) + b"\x36\x04" + offer[54]
            address, options = _ask(raw, sender, mac, chosen)
            if options[53] == b"\x05":
                return address, options
            assert options[53] == b"\x06"  # what was offered has just changed: begin again, as every client does


def _ask(raw: socket.socket, sender: socket.socket, mac: str, options: bytes) -> tuple[str, dict[int, bytes]]:
    hardware = bytes.fromhex(mac.replace(":", ""))
    fixed = struct.pack("!BBBBIHH16x", 1, 1, 6, 0, 0x5EED, 0, 0) + hardware.ljust(16, b"\0") + bytes(192)
    wanted = b"\x37\x06\x01\x03\x06\x0f\x79\xf5"
    message = fixed + b"\x63\x82\x53\x63" + options + wanted + b"\xff"
    return asked_again(lambda: sender.sendto(message, ("255.255.255.255", 67)), lambda: _reply(raw))


def _reply(raw: socket.socket) -> tuple[str, dict[int, bytes]]:
    while True:
        packet = raw.recv(2000)
        if packet[9] == 17 and packet[22:24] == b"\x00\x44":
            reply = packet[28:]
            return socket.inet_ntoa(reply[16:20]), _options(reply[240:])


def asked_again(ask: Callable[[], object], answer: Callable[[], T], times: int = 4) -> T:
    """What clients over UDP do: the first packets on a fresh link may be lost."""
    for _ in range(times - 1):
        ask()
        with suppress(TimeoutError):
            return answer()
    ask()
    return answer()


def _options(data: bytes) -> dict[int, bytes]:
    options: dict[int, bytes] = {}
    while data and data[0] != 255:
        code, length = data[0], data[1]
        options[code], data = data[2 : 2 + length], data[2 + length :]
    return options


def resolve(guest: FakeGuest, name: str) -> str | None:
    """An A record by 168.63.129.16."""
    answer = _query(guest, name, 1)
    return socket.inet_ntoa(answer[-4:]) if answer[6:8] != b"\0\0" else None


def reverse(guest: FakeGuest, address: str) -> str:
    answer = _query(guest, ".".join(reversed(address.split("."))) + ".in-addr.arpa", 12)
    length = len(_question(".".join(reversed(address.split("."))) + ".in-addr.arpa", 12))
    labels, data = [], answer[12 + length + 12 :]
    while data[0]:
        labels.append(data[1 : 1 + data[0]].decode())
        data = data[1 + data[0] :]
    return ".".join(labels)


def _query(guest: FakeGuest, name: str, kind: int) -> bytes:
    with guest.new_socket(socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        message = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + _question(name, kind)
        return asked_again(lambda: sock.sendto(message, ("168.63.129.16", 53)), lambda: sock.recv(2000))


def _question(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return labels + b"\0" + struct.pack("!HH", kind, 1)
