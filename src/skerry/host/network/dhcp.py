"""DHCP and DNS of a VNet by one dnsmasq inside its namespace.

Azure's way: a guest gets its one address for its MAC, the subnet's netmask and gateway, routes to the platform's
addresses (option 121), the wire server's address (option 245) and 168.63.129.16 as name server. Nothing a tenant wrote
reaches dnsmasq but addresses, MACs and host names that were checked here; names that guests announce are ignored.

Guests come and go by two files and a SIGHUP; a restart is needed only when subnets or name servers change, or when an
address that a removed guest had leased is another's now: dnsmasq would offer it to nobody for a day.
"""

import ipaddress
import pwd
import re
import signal
from functools import cache
from pathlib import Path

from skerry.host.network.daemons import Daemon
from skerry.host.network.egress import UPSTREAM_DNS
from skerry.host.network.names import TAP_PREFIX
from skerry.host.run import run
from skerry.hostspec import PortSpec, SubnetSpec, VnetSpec

PLATFORM = "168.63.129.16"
METADATA = "169.254.169.254"
LEASE_SECONDS = 86400
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


class Dhcp:
    """The dnsmasq of one VNet; its files are in `folder`, readable by dnsmasq's own user."""

    def __init__(self, namespace: Path, folder: Path) -> None:
        self.namespace, self.folder = namespace, folder
        argv = ["dnsmasq", f"--conf-file={folder / 'dnsmasq.conf'}"]
        self._daemon = Daemon(folder / "dnsmasq.json", argv)

    def apply(self, vnet: VnetSpec) -> None:
        """Make dnsmasq serve exactly `vnet`. Raises HostError when it won't start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # dnsmasq reads it as a user of its own, whatever our umask is
        changed = [_write(self.folder / name, text) for name, text in files(vnet).items()]
        configured = _write(self.folder / "dnsmasq.conf", configuration(vnet, self.folder, user()))
        if configured or self._forgets(vnet) or not self._daemon.running():
            self._restart(vnet)
        elif any(changed):
            self._daemon.signal(signal.SIGHUP)

    def serves(self, vnet: VnetSpec) -> bool:
        """Whether dnsmasq lives and has exactly what it needs for `vnet`."""
        wanted = {**files(vnet), "dnsmasq.conf": configuration(vnet, self.folder, user())}
        return self._daemon.running() and not any(_differs(self.folder / name, text) for name, text in wanted.items())

    def pid(self) -> int | None:
        """The running dnsmasq."""
        return self._daemon.pid()

    def stop(self) -> None:
        self._daemon.stop()

    def _leases(self) -> Path:
        return self.folder / "dnsmasq.leases"

    def _forgets(self, vnet: VnetSpec) -> bool:
        """Whether a lease is in the way of a port."""
        text = self._leases().read_text() if self._leases().exists() else ""
        return kept_leases(text, vnet) != text

    def _restart(self, vnet: VnetSpec) -> None:
        """dnsmasq goes to the background by itself once it serves, so a failure to start is seen here."""
        self._daemon.stop()
        if self._forgets(vnet):
            # In place: it belongs to dnsmasq's user.
            self._leases().write_text(kept_leases(self._leases().read_text(), vnet))
        pid_file = self.folder / "dnsmasq.pid"
        pid_file.unlink(missing_ok=True)
        run(["nsenter", f"--net={self.namespace}", *self._daemon.argv])
        self._daemon.adopt(int(pid_file.read_text()))


def domain(vnet: str) -> str:
    """The VNet's own DNS domain."""
    return f"{vnet[:8]}.internal.skerry"


@cache
def user() -> str:
    """Whom dnsmasq becomes: the distribution's user for it, or nobody."""
    return next(
        (name for name in ("dnsmasq", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()}), "nobody"
    )


def files(vnet: VnetSpec) -> dict[str, str]:
    """What changes with the guests: leases by MAC, and host names."""
    leases = [f"{_mac(port)},id:*,{port.address},{LEASE_SECONDS}" for port in vnet.ports]
    names = [line for port in vnet.ports if (line := _name_line(port, domain(vnet.id)))]
    return {"leases.conf": _lines(leases), "names": _lines(names)}


def kept_leases(text: str, vnet: VnetSpec) -> str:
    """dnsmasq's leases (`EXPIRY MAC ADDRESS NAME ID` each) but those of addresses that are another port's now."""
    owners = {port.address: _mac(port) for port in vnet.ports}

    def stays(line: str) -> bool:
        words = line.split()
        return len(words) < 3 or owners.get(words[2], words[1]) == words[1]

    return "".join(line for line in text.splitlines(keepends=True) if stays(line))


def configuration(vnet: VnetSpec, folder: Path, as_user: str) -> str:
    """What a restart is needed for."""
    own = domain(vnet.id)
    lines = [
        f"user={as_user}",
        f"pid-file={folder / 'dnsmasq.pid'}",
        f"dhcp-leasefile={folder / 'dnsmasq.leases'}",
        f"dhcp-hostsfile={folder / 'leases.conf'}",
        f"addn-hosts={folder / 'names'}",
        "bind-dynamic",
        f"interface=lo,{TAP_PREFIX}*",
        f"bridge-interface=lo,{TAP_PREFIX}*",
        "no-hosts",
        "no-resolv",
        "no-poll",
        "no-ping",
        "quiet-dhcp",
        "dhcp-authoritative",
        "dhcp-ignore=tag:!known",
        "dhcp-ignore-names",
        "dhcp-lease-max=65536",
        "dns-loop-detect",
        "bogus-priv",
        "expand-hosts",
        f"domain={own}",
        f"local=/{own}/",
        f"server={UPSTREAM_DNS}",
        f"dhcp-option=option:dns-server,{','.join(map(_address, vnet.dns_servers)) or PLATFORM}",
        f"dhcp-option=option:domain-search,{own}",
        f"dhcp-option-force=245,{PLATFORM}",
    ]
    return _lines([*lines, *(line for number, subnet in enumerate(vnet.subnets) for line in _subnet(number, subnet))])


def gateway(prefix: str) -> str:
    """The first usable address of a subnet: Azure's default gateway."""
    return str(ipaddress.IPv4Network(prefix)[1])


def _subnet(number: int, subnet: SubnetSpec) -> list[str]:
    network, router = ipaddress.IPv4Network(subnet.prefix), gateway(subnet.prefix)
    tag = f"s{number}"
    routes = f"{PLATFORM}/32,{router},{METADATA}/32,{router},0.0.0.0/0,{router}"
    return [
        f"dhcp-range=set:{tag},{network.network_address},static,{network.netmask},{LEASE_SECONDS}",
        f"dhcp-option=tag:{tag},option:router,{router}",
        f"dhcp-option=tag:{tag},option:classless-static-route,{routes}",
    ]


def _name_line(port: PortSpec, own: str) -> str | None:
    if not _HOST_NAME.fullmatch(port.hostname):
        return None
    return f"{port.address} {port.hostname}.{own} {port.hostname}"


def _mac(port: PortSpec) -> str:
    """As dnsmasq writes it."""
    return port.mac.replace("-", ":").lower()


def _address(text: str) -> str:
    return str(ipaddress.IPv4Address(text))


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _differs(file: Path, text: str) -> bool:
    try:
        return file.read_text() != text
    except (OSError, ValueError):
        return True


def _write(file: Path, text: str) -> bool:
    """Put `text` into `file` at once; whether it was different."""
    if not _differs(file, text):
        return False
    temporary = file.with_suffix(".new")
    temporary.write_text(text)
    temporary.chmod(0o644)
    temporary.replace(file)
    return True
