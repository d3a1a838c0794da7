"""The kernel's data plane and the evaluator must agree about random rules and connections."""

import random
import selectors
import socket
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

import pytest
from tests.system.network.lab import DEFAULTS, DROPPED_AFTER, INTERNET, PATIENCE, FakeGuest, Lab, guests, port, vnet

from skerry.host.network import nsg as evaluator
from skerry.hostspec import NsgSpec, PortSpec, SecurityRule, VnetSpec

ADDRESSES = ("10.0.0.4", "10.0.0.200", "10.0.1.4")
PORTS = (80, 81, 443)
PREFIXES = (
    *("*", "VirtualNetwork", "Internet", "AzureLoadBalancer", "Storage", "10.0.0.0/24", "10.0.0.4", "10.0.0.128/25"),
    *("10.0.1.0/24", "203.0.113.0/24", "0.0.0.0/1", "10.0.0.0/16", "192.168.0.0/16"),
)
RANGES = ((0, 65535), (80, 80), (81, 443), (443, 443), (80, 81), (1024, 65535))


@dataclass(frozen=True)
class Attempt:
    source: PortSpec
    target: str
    number: int
    source_port: int


def random_rule(rng: random.Random, priority: int) -> SecurityRule:
    return SecurityRule(
        f"r{priority}",
        priority,
        rng.choice(["Inbound", "Outbound"]),
        rng.choice(["Allow", "Deny"]),
        rng.choice(["Tcp", "Tcp", "*", "Udp", "Icmp"]),
        tuple(rng.sample(PREFIXES, rng.randint(1, 3))),
        (rng.choice([(0, 65535), (0, 65535), (0, 65535), (20000, 20500)]),),
        tuple(rng.sample(PREFIXES, rng.randint(1, 3))),
        tuple(rng.sample(RANGES, rng.randint(1, 2))),
    )


def random_vnet(rng: random.Random) -> VnetSpec:
    groups = [
        NsgSpec(name, (*(random_rule(rng, 100 + 10 * number) for number in range(rng.randint(1, 6))), *DEFAULTS))
        for name in ("a", "b", "c", "d")
    ]
    some = ["a", "b", "c", "d", None]
    ports = [
        port(number + 1, address, nsg=rng.choice(some), subnet="s2" if address.startswith("10.0.1.") else "s1")
        for number, address in enumerate(ADDRESSES)
    ]
    return vnet(1, *ports, nsgs=groups, subnet_nsg=rng.choice(some), second_nsg=rng.choice(some))


def expected(spec: VnetSpec, attempt: Attempt) -> bool:
    """Outbound by the sender's NIC and subnet, inbound by the receiver's."""
    subnets = {subnet.id: subnet.nsg for subnet in spec.subnets}
    receiver = next((known for known in spec.ports if known.address == attempt.target), None)
    levels = [("Outbound", attempt.source.nsg), ("Outbound", subnets[attempt.source.subnet])]
    if receiver:
        levels += [("Inbound", subnets[receiver.subnet]), ("Inbound", receiver.nsg)]
    return all(allowed(spec, group, direction, attempt) for direction, group in levels if group)


def allowed(spec: VnetSpec, group: str, direction: str, attempt: Attempt) -> bool:
    rules = next(known.rules for known in spec.nsgs if known.id == group)
    rule = evaluator.decide(
        rules,
        direction,
        protocol="Tcp",
        source=attempt.source.address,
        source_port=attempt.source_port,
        destination=attempt.target,
        destination_port=attempt.number,
        vnet_prefixes=spec.prefixes,
    )
    return rule is not None and rule.access == "Allow"


def connected(
    guests_by_port: dict[str, FakeGuest], attempts: list[Attempt], awaited: Collection[Attempt]
) -> set[Attempt]:
    """All attempts at once; who has an answer: those that are awaited have all the time, others a moment more."""
    done: set[Attempt] = set()
    with selectors.DefaultSelector() as selector:
        for attempt in attempts:
            sock = guests_by_port[attempt.source.id].new_socket()
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((attempt.source.address, attempt.source_port))
            with suppress(BlockingIOError):
                sock.connect((attempt.target, attempt.number))
            selector.register(sock, selectors.EVENT_WRITE, attempt)
        while ready := selector.select(DROPPED_AFTER if done.issuperset(awaited) else PATIENCE):
            for key, _ in ready:
                selector.unregister(key.fileobj)
                if (
                    isinstance(key.fileobj, socket.socket)
                    and key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
                ):
                    done.add(key.data)
    return done


@pytest.mark.parametrize("seed", range(8))
def test_the_data_plane_does_what_the_evaluator_says(lab: Lab, seed: int) -> None:
    rng = random.Random(seed)
    spec = random_vnet(rng)
    lab.apply(spec)
    targets = [(address, number) for address in ADDRESSES for number in PORTS] + [(INTERNET, 80)]
    attempts = [
        Attempt(source, address, number, 20000 + 100 * seed + index)
        for source in spec.ports
        for index, (address, number) in enumerate(targets)
        if address != source.address
    ]
    with guests(lab, *spec.ports) as started:
        for guest in started:
            for number in PORTS:
                guest.listen(number)
        awaited = {attempt for attempt in attempts if expected(spec, attempt)}
        assert connected({guest.port.id: guest for guest in started}, attempts, awaited) == awaited
