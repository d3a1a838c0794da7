"""Somebody else's hands in a running network: noticed and mended while guests go on."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.system.cloud import until
from tests.system.network.lab import INTERNET, FakeGuest, Lab, nsg, port, rule, vnet
from tests.system.network.test_lifecycle import pids
from tests.system.network.test_platform import resolve

from skerry.host.compute.qemu import process
from skerry.host.errors import HostError
from skerry.host.network import netns, nftables
from skerry.host.network.names import Names, tap_name
from skerry.host.network.routed import WATCH_SECONDS

LIMIT = 60.0  # a loaded machine; well below SURE_SECONDS, at which everything is applied whatever was noticed
CLOSED = rule(100, "Inbound", "Deny", 81)
NET = vnet(1, port(1, "10.0.0.4", nsg="n"), port(2, "10.0.0.5", nsg="n"), port(3, "10.0.0.6"), nsgs=[nsg("n", CLOSED)])


class Network:
    """A VNet with two guests, and a third port whose guest doesn't run."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.names = lab, Names.of(lab.state)
        lab.apply(NET)
        self.one, self.two = (lab.guest(one) for one in NET.ports[:2])
        self.two.listen(80), self.two.listen(81)

    @property
    def space(self) -> Path:
        return netns.path(self.names.vnet(NET.id))

    def inside(self, *words: str) -> str:
        argv = ["nsenter", f"--net={self.space}", *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def end(self, name: str) -> None:
        os.kill(next(pid for record, pid in pids(self.lab.state).items() if name in record), signal.SIGKILL)

    def is_sound(self) -> bool:
        """All that the network should give is there, and nothing that it shouldn't."""
        try:
            return (
                {*(tap_name(one.id) for one in NET.ports), "up"} <= netns.inside(self.space, _links)
                and any(chain.startswith("v_") for chain in nftables.chains(self.space))
                and "transit" in nftables.chains(netns.path(self.names.router))
                and netns.exists(self.names.guests)
                and all(process.look_up(pid) for pid in pids(self.lab.state).values())
                and len(list(self.names.runtime.glob("*/*.conf"))) == 2
                and works(self.one)
                and self.lab.network.problems() == []
            )
        except (OSError, HostError, AssertionError, IndexError):
            return False


def _links() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def works(guest: FakeGuest) -> bool:
    return (
        guest.reaches("10.0.0.5", 80)
        and guest.is_cut_off("10.0.0.5", 81)
        and guest.reaches(INTERNET, 80)
        and resolve(guest, "vm2") == "10.0.0.5"
        and guest.http("GET /metadata/versions HTTP/1.1\r\nHost: x\r\nMetadata: true")[0] == 200
    )


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    with Lab(tmp_path_factory.mktemp("drift") / "state") as lab:
        network = Network(lab)
        assert network.is_sound()
        yield network


SPOILS: dict[str, Callable[[Network], object]] = {
    "dnsmasq killed": lambda net: net.end("dnsmasq"),
    "slirp4netns killed": lambda net: net.end("slirp"),
    "rules flushed": lambda net: net.inside("nft", "flush", "ruleset"),
    "one chain gone": lambda net: net.inside("nft", "flush", "chain", "inet", "skerry", "between"),
    "router's rules flushed": lambda net: subprocess.run(
        ["ip", "netns", "exec", net.names.router, "nft", "flush", "ruleset"], check=True
    ),
    "a port's TAP removed": lambda net: net.inside("ip", "link", "del", tap_name(NET.ports[2].id)),
    "a running guest's link down": lambda net: net.inside("ip", "link", "set", tap_name(NET.ports[0].id), "down"),
    "the uplink removed": lambda net: net.inside("ip", "link", "del", "dev", "up"),
    "a guest's route removed": lambda net: net.inside("ip", "route", "del", "10.0.0.5/32"),
    "the platform's address removed": lambda net: net.inside("ip", "addr", "del", "168.63.129.16/32", "dev", "lo"),
    "the VNet's namespace unnamed": lambda net: subprocess.run(["ip", "netns", "del", net.space.name], check=True),
    "the router unnamed": lambda net: subprocess.run(["ip", "netns", "del", net.names.router], check=True),
    "the guests' namespace unnamed": lambda net: subprocess.run(["ip", "netns", "del", net.names.guests], check=True),
    "dnsmasq's configuration removed": lambda net: next(net.names.runtime.glob("*/dnsmasq.conf")).unlink(),
    "dnsmasq's hosts removed": lambda net: next(net.names.runtime.glob("*/leases.conf")).unlink(),
    "the runtime folder removed": lambda net: shutil.rmtree(net.names.runtime),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("spoil", SPOILS)
def test_it_is_mended(network: Network, spoil: str) -> None:
    SPOILS[spoil](network)
    until(network.is_sound, LIMIT, f"mended after: {spoil}")


def test_a_vnet_taken_down_is_no_drift(own_lab: Lab) -> None:
    """Its end in the router goes with it: our own work, and no reason to replace rules."""
    with capture_logs() as logs:
        own_lab.apply(NET, vnet(2, port(4, "10.0.0.4")))
        time.sleep(2 * WATCH_SECONDS)  # the first look applies everything, whatever it saw
        own_lab.apply(NET)
        time.sleep(2 * WATCH_SECONDS)
    assert [entry for entry in logs if "from outside" in entry["event"]] == []
