"""What a guest can't do: be somebody else, or reach what isn't its VNet's."""

import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.system.cloud import until
from tests.system.network.lab import HOST, INTERNET, PATIENCE, FakeGuest, Lab, checksum, guests, port, vnet

from skerry.host.network.egress import Egress
from skerry.host.network.names import Names

GATEWAY_MAC = bytes.fromhex("123456789abc")


def udp_frame(guest: FakeGuest, *, mac: str, source: str, destination: str, text: bytes) -> bytes:
    """An Ethernet frame with a UDP datagram to port 99; UDP's checksum is left out, as IPv4 allows."""
    udp = struct.pack("!HHHH", 99, 99, 8 + len(text), 0) + text
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + addresses
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return GATEWAY_MAC + bytes.fromhex(mac.replace(":", "")) + b"\x08\x00" + head + udp


def send_raw(guest: FakeGuest, frame: bytes) -> None:
    with guest.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as raw:
        raw.bind(("eth0", 0))
        raw.send(frame)


def test_spoofed_addresses_are_dropped(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4"), port(2, "10.0.0.5"))
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one, two):
        receiver = two.new_socket(socket.SOCK_DGRAM)
        receiver.bind(("10.0.0.5", 99))
        honest = {"mac": one.port.mac, "source": "10.0.0.4", "destination": "10.0.0.5"}
        for lie in (
            {"source": "10.0.0.9"},
            {"source": "8.8.8.8"},
            {"mac": "52:54:00:00:00:02"},
            {"mac": "02:00:00:00:00:09"},
        ):
            send_raw(one, udp_frame(one, **{**honest, **lie}, text=repr(lie).encode()))
        send_raw(one, udp_frame(one, **honest, text=b"honest"))
        assert receiver.recv(100) == b"honest"


def test_arp_for_somebody_else_is_not_answered(lab: Lab) -> None:
    """Nor remembered: the neighbour table is one for the whole host."""
    spec = vnet(1, port(1, "10.0.0.4"))
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one,):
        mac = bytes.fromhex(one.port.mac.replace(":", ""))
        with one.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))) as raw:
            raw.bind(("eth0", 0x0806))
            raw.settimeout(PATIENCE)
            for source in ("10.0.0.77", "10.0.0.4"):
                request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + socket.inet_aton(source)
                raw.send(b"\xff" * 6 + mac + b"\x08\x06" + request + b"\0" * 6 + socket.inet_aton("10.0.0.1"))
            answer = raw.recv(100)
        assert answer[:6] == mac
        assert answer[22:28] == GATEWAY_MAC
        assert socket.inet_ntoa(answer[38:42]) == "10.0.0.4"


def test_neighbours_are_seen_with_the_gateways_mac(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4"), port(2, "10.0.0.5"))
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one, two):
        two.listen(80)
        assert one.reaches("10.0.0.5", 80)
        entries = one.inside(_neighbours)
        assert entries["10.0.0.5"] == "12:34:56:78:9a:bc"


def test_vnets_with_the_same_addresses_are_apart(lab: Lab) -> None:
    first = vnet(1, port(1, "10.0.0.4"), port(2, "10.0.0.5"))
    second = vnet(2, port(3, "10.0.0.4"), port(4, "10.0.0.5"), port(5, "10.0.0.6"))
    lab.apply(first, second)
    with guests(lab, *first.ports, *second.ports) as (one, two, three, four, five):
        two.listen(80)
        four.listen(81)
        five.listen(80)
        assert one.reaches("10.0.0.5", 80)
        assert one.is_cut_off("10.0.0.5", 81)
        assert three.reaches("10.0.0.5", 81)
        assert three.is_cut_off("10.0.0.5", 80)
        assert one.is_cut_off("10.0.0.6", 80)


def test_the_host_is_shielded(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4"))
    lab.apply(spec)
    lab.host.listen(90)
    assert lab.internet.reaches(HOST, 90)
    with guests(lab, *spec.ports) as (one,):
        assert one.reaches(INTERNET, 80)
        for address in (HOST, "127.0.0.1", "169.254.2.2", "169.254.1.1", "169.254.64.1", "10.0.0.1", "168.63.129.16"):
            assert one.is_cut_off(address, 90), address


def test_the_host_is_shielded_also_while_rules_are_replaced(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4"))
    lab.apply(spec)
    lab.host.listen(92)
    outside = Egress(Names.of(lab.state), lab.host.path)

    def replace_rules() -> None:
        for _ in range(40):
            outside.apply(anew=True)

    with guests(lab, *spec.ports) as (one,), ThreadPoolExecutor(1) as replacer:
        replacing = replacer.submit(replace_rules)
        while not replacing.done():
            assert one.is_cut_off(HOST, 92)
        replacing.result()
        assert one.reaches(INTERNET, 80)


def test_an_address_that_the_host_gets_later_is_shielded(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4"))
    lab.apply(spec)
    lab.host.listen(93)
    with guests(lab, *spec.ports) as (one,), lab.host.addressed("198.51.100.77"):
        assert lab.host.reaches("198.51.100.77", 93)
        until(lambda: one.is_cut_off("198.51.100.77", 93), 60, "the new address shielded")


def test_a_vnets_unused_addresses_lead_nowhere(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4"))
    lab.apply(spec)
    with guests(lab, *spec.ports) as (one,), lab.internet.addressed("10.0.7.7"):
        assert one.is_cut_off("10.0.7.7", 80)


def test_overlapping_vnets_both_get_out(lab: Lab) -> None:
    specs = [vnet(number, port(number, "10.0.0.4")) for number in (1, 2)]
    lab.apply(*specs)
    with guests(lab, specs[0].ports[0], specs[1].ports[0]) as both:
        for guest in both:
            listener = lab.internet.listen(8000 + guest.port.id.count("1"))
            client = guest.connect(INTERNET, listener.getsockname()[1])
            served, (seen, _) = listener.accept()
            with served:
                client.sendall(b"hello")
                assert served.recv(100) == b"hello"
                assert seen == HOST


def test_ipv6_is_off(lab: Lab) -> None:
    spec = vnet(1, port(1, "10.0.0.4"))
    lab.apply(spec)
    with (
        guests(lab, *spec.ports) as (one,),
        one.inside(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as sock,
    ):
        sock.settimeout(0.2)
        with pytest.raises(OSError):
            sock.sendto(b"x", ("ff02::1%eth0", 547))
            sock.recv(100)


def _neighbours() -> dict[str, str]:
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        return {entry.get("dst"): entry.get("lladdr") for entry in netlink.get_neighbours(family=2)}
