"""What the network needs of a host, tried for real inside a namespace that ends with the try."""

import errno
import os
import shutil
import socket
from collections.abc import Callable

from skerry.host.checks import Check
from skerry.host.errors import HostError
from skerry.host.network import netns, tap
from skerry.host.run import ENVIRONMENT, run

_PROGRAMS = {
    "nft": ("nftables", ["nft", "--version"], "rules between guests"),
    "dnsmasq": ("dnsmasq-base", ["dnsmasq", "--version"], "addresses and names of guests"),
    "slirp4netns": (
        "slirp4netns",
        ["slirp4netns", "--version"],
        "guests' way out; without it they run but reach only each other",
    ),
    "nsenter": ("util-linux", ["nsenter", "--version"], "programs inside namespaces"),
}
_KERNEL_PROBE = """
table inet probe {
  map verdicts { typeof iifname : verdict; }
  set senders { typeof iifname . ether saddr . ip saddr; }
  set ranges { type ipv4_addr; flags interval; }
  chain passing {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname vmap @verdicts
    iifname . ether saddr . ip saddr @senders ip daddr @ranges accept
  }
}
table ip probe_nat {
  chain leave {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "up" masquerade
  }
}
table arp probe {
  chain heard {
    type filter hook input priority filter; policy accept;
  }
}
"""
_SSH = 22


def check() -> list[Check]:
    """One entry per need, in the order they should be mended."""
    programs = [_program(name) for name in _PROGRAMS]
    return [*programs, *(_try(*probe) for probe in _PROBES), _public_addresses()]


def _program(name: str) -> Check:
    package, argv, purpose = _PROGRAMS[name]
    if shutil.which(name, path=ENVIRONMENT["PATH"]) is None:
        return Check(name, False, f"not installed ({purpose})", f"apt-get install {package}")
    try:
        version = run(argv, timeout=10).decode(errors="replace").partition("\n")[0]
    except HostError as error:
        return Check(name, False, str(error), f"apt-get install --reinstall {package}")
    return Check(name, True, version, "")


def _try(name: str, probe: Callable[[], None], found: str, mend: str) -> Check:
    try:
        probe()
    except (OSError, HostError) as error:
        return Check(name, False, str(error), mend)
    return Check(name, True, found, "")


def _namespace() -> None:
    netns.inside_new(lambda: None)


def _tap() -> None:
    netns.inside_new(lambda: tap.create("t-probe"))


def _kernel() -> None:
    netns.inside_new(lambda: run(["nft", "-f", "-"], stdin=_KERNEL_PROBE.encode(), timeout=10))


_PROBES: tuple[tuple[str, Callable[[], None], str, str], ...] = (
    ("network namespaces", _namespace, "can be made", "run Skerry as root, on a kernel with CONFIG_NET_NS"),
    ("TAP devices", _tap, f"{tap.DEVICE} works", "modprobe tun, and run Skerry as root"),
    (
        "kernel packet filter",
        _kernel,
        "nftables with connection tracking, address translation and ARP",
        "modprobe nf_tables nft_ct nft_chain_nat nft_masq, or use the distribution's kernel",
    ),
)


def _public_addresses() -> Check:
    """A program that listens on every address of the host takes the port from all loopback addresses too."""
    name, address = "public addresses", f"127.{os.getpid() % 200 + 1}.255.250"
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, _SSH))
            sock.listen()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return Check(name, False, f"port {_SSH} can't be listened on: {error.strerror}", "run Skerry as root")
            detail = f"something listens on port {_SSH} of every address of this host (an SSH server?)"
            mend = "give it addresses of its own (`ListenAddress` in sshd_config), else VMs' port 22 isn't forwarded"
            return Check(name, False, detail, mend)
    return Check(name, True, f"port {_SSH} of loopback addresses is free", "")
