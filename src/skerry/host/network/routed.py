"""The network of one host: a namespace per VNet, a routed port per NIC.

    apply:  guests' and router namespaces
            ─► each VNet: rules ─► devices ─► conntrack ─► DHCP ─► platform services ─► way out
            ─► VNets that aren't named any more are taken down ─► public addresses

Rules come before devices: what isn't in them is dropped, so a new TAP is never open and a removed one is cut off at
once. Everything is compared with what the kernel has and only differences are applied; so after a restart the same call
adopts namespaces, TAPs with running guests, rules and daemons. One VNet that fails keeps no other from being applied.

A watcher looks every second whether a daemon died or somebody else changed a namespace, and every SURE_SECONDS at
all of it whatever the kernel told; what isn't right is applied again.
"""

import ipaddress
import resource
import shutil
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

import structlog
from pyroute2.netlink.exceptions import NetlinkError

from skerry.host.errors import HostError, Refused, cause
from skerry.host.network import conntrack, egress, exposure, links, netns, nftables, rules, tap
from skerry.host.network.daemons import arguments, end
from skerry.host.network.dhcp import Dhcp, gateway
from skerry.host.network.drift import Drift
from skerry.host.network.driver import GuestPlatform
from skerry.host.network.egress import Egress
from skerry.host.network.forwarder import Forwarder, Target, greets
from skerry.host.network.links import Guest, Layout
from skerry.host.network.loop import LoopThread
from skerry.host.network.names import Names, tap_name
from skerry.host.network.services import PlatformServices
from skerry.hostspec import PortSpec, VnetSpec

log = structlog.get_logger()

WATCH_SECONDS, SURE_SECONDS, AGAIN_SECONDS = 1.0, 300.0, 5.0

Problem = tuple[str, str, str]
"""(kind, id, message) as in `Observed.problems`; kind is `vnet`, `publicAddress` or `network`."""


class NetworkProblems(HostError):
    """Some of the networks couldn't be applied; the rest is. `problems` says which."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{kind} {name}: {message}" for kind, name, message in problems))


class RoutedNetwork:
    """A NetworkDriver. Needs root. `guests_netns` is the path of the empty namespace that QEMU runs in.

    `outside` is the network that public addresses are in and guests' traffic leaves by: this process's own.
    """

    def __init__(self, state: Path, platform: GuestPlatform, *, outside: Path = netns.OWN) -> None:
        self._names = Names.of(state)
        self.guests_netns = str(netns.path(self._names.guests))
        self._lock = threading.Lock()
        self._loop = LoopThread("network")
        self._egress = Egress(self._names, outside)
        self._services = PlatformServices(self._loop, platform)
        self._forwarder = Forwarder(self._loop, outside)
        self._vnets: dict[str, VnetSpec] = {}
        self._drifts: dict[str, Drift] = {}
        self._sure = self._again = 0.0
        self._unmended: list[Problem] = []
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="network-watch", daemon=True)
        self._watcher.start()
        _raise_file_limit()

    def apply(self, vnets: Sequence[VnetSpec]) -> None:
        """See NetworkDriver. Raises NetworkProblems."""
        with self._lock:
            self._names.runtime.mkdir(exist_ok=True)
            self._names.runtime.chmod(0o755)  # dnsmasq has its files below
            self._vnets = {vnet.id: vnet for vnet in vnets}
            self._unmended = []
            problems = self._remove_others()  # first, for it changes the router, which is watched from then on
            problems += self._set_up(vnets)
            self._services.keep({port.id for vnet in vnets for port in vnet.ports})
            failures = self._forwarder.apply([target for vnet in vnets for target in self._targets(vnet)])
            problems += [("publicAddress", address, message) for address, message in failures]
        if problems:
            raise NetworkProblems(problems)

    def problems(self) -> Sequence[Problem]:
        """See NetworkDriver."""
        return self._unmended

    def tap(self, port: str) -> int:
        """See NetworkDriver."""
        vnet, _ = self._find(port)
        return netns.inside(self._namespace(vnet.id), lambda: tap.open_existing(tap_name(port)))

    def idle_tap(self) -> int:
        """A descriptor of a TAP that leads nowhere and ends with it; the caller closes it."""
        netns.create(self._names.guests)
        return netns.inside(Path(self.guests_netns), tap.passing)

    def adopt(self, port: str, descriptor: int) -> None:
        """Put the TAP of a QEMU that runs already, from `idle_tap`, in the place of the port's.

        Raises HostError; the port has a TAP then all the same, that one or a new one.
        """
        with self._lock:
            vnet, _ = self._find(port)
            namespace, name = self._namespace(vnet.id), tap.name_of(descriptor)
            try:
                netns.inside(Path(self.guests_netns), lambda: links.hand_over(name, namespace))
                netns.inside(namespace, lambda: links.replace(tap_name(port), by=name))
                tap.keep(descriptor)
            except (OSError, NetlinkError) as error:
                raise HostError(f"a TAP can't be moved to its network: {error}") from error
            finally:
                self._apply_vnet(vnet, anew=False)
                self._settle([namespace.name])

    def greets(self, port: str, tcp_port: int) -> bool:
        """See NetworkDriver."""
        vnet, found = self._find(port)
        return greets(self._namespace(vnet.id), tap_name(port), found.address, tcp_port)

    def close(self, *, keep: bool) -> None:
        """See NetworkDriver. No-op the second time."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._watcher.join()
        with self._lock:
            self._forwarder.close()
            self._services.close()
            self._loop.close()
            for drift in self._drifts.values():
                drift.close()
            if not keep:
                remove(self._names)

    def _find(self, port: str) -> tuple[VnetSpec, PortSpec]:
        for vnet in self._vnets.values():
            for known in vnet.ports:
                if known.id == port:
                    return vnet, known
        raise HostError(f"port {port} is in no network of this host")

    def _set_up(self, vnets: Sequence[VnetSpec], *, host: bool = True, anew: bool = False) -> list[Problem]:
        """Make namespaces as they should be, their rules `anew`; returns what failed, by VNet."""
        problems = _attempts([("network", "host", partial(self._apply_host, anew=anew))]) if host else []
        problems += _attempts([("vnet", vnet.id, partial(self._apply_vnet, vnet, anew=anew)) for vnet in vnets])
        sound = [vnet.id for vnet in vnets if vnet.id not in {name for _, name, _ in problems}]
        problems += _attempts([("wayOut", vnet, partial(self._way_out, vnet, anew=anew)) for vnet in sound])
        self._settle([self._names.router, *(self._names.vnet(vnet) for vnet in sound)])
        return problems

    def _settle(self, names: Sequence[str]) -> None:
        """Take these namespaces for right from now on; let go of those that are gone."""
        for name in list(self._drifts):
            if not self._drifts[name].same():
                self._drifts.pop(name).close()
        for name in names:
            if name in self._drifts:
                self._drifts[name].settle()
            elif netns.exists(name):
                self._drifts[name] = Drift(netns.path(name))

    def _apply_host(self, *, anew: bool) -> None:
        netns.create(self._names.guests)
        if egress.available():
            self._egress.apply(anew=anew)

    def _apply_vnet(self, vnet: VnetSpec, *, anew: bool) -> None:
        _refuse_clashes(vnet, self._vnets.values())
        fingerprint, transaction, layout = _plan(vnet)
        namespace, dhcp = self._namespace(vnet.id), self._dhcp(vnet.id)
        if netns.create_or_find(namespace.name, dhcp.pid()):
            dhcp.stop()  # what runs serves a namespace that is lost
            self._services.drop({port.id for port in vnet.ports})
        netns.inside(namespace, links.prepare)
        nftables.replace(namespace, fingerprint, transaction, anew=anew)
        outcome = netns.inside(namespace, lambda: links.reconcile(layout))
        netns.inside(namespace, lambda: conntrack.flush(outcome.vacated))
        dhcp.apply(vnet)
        names = {port.id: tap_name(port.id) for port in vnet.ports}
        self._services.apply(namespace, {port: (name, outcome.indexes[name]) for port, name in names.items()})

    def _way_out(self, vnet: str, *, anew: bool) -> None:
        if egress.available():
            self._egress.connect(vnet, self._namespace(vnet), anew=anew)

    def _remove_others(self) -> list[Problem]:
        keep = {self._names.vnet(vnet) for vnet in self._vnets} | {self._names.guests, self._names.router}
        gone = [name for name in netns.names(self._names.prefix) if name not in keep]
        return _attempts([("vnet", name, partial(_remove_vnet, self._names, name)) for name in gone])

    def _targets(self, vnet: VnetSpec) -> list[Target]:
        namespace = self._namespace(vnet.id)
        return [Target(public, namespace, tap_name(public.port)) for public in exposure.publics(vnet)]

    def _namespace(self, vnet: str) -> Path:
        return netns.path(self._names.vnet(vnet))

    def _dhcp(self, vnet: str) -> Dhcp:
        return Dhcp(self._namespace(vnet), self._names.runtime / self._names.vnet(vnet))

    def _watch(self) -> None:
        while not self._closed.wait(WATCH_SECONDS):
            with self._lock:
                if self._vnets and time.monotonic() > self._again:
                    self._mend()

    def _mend(self) -> None:
        """Apply again what somebody else changed or what died; everything now and then."""
        sure = time.monotonic() - self._sure > SURE_SECONDS
        host = self._host_is_wrong()
        wrong = [vnet for vnet in self._vnets.values() if sure or host or self._is_wrong(vnet)]
        if sure:
            self._sure = time.monotonic()
        elif wrong:
            log.warning("networks were changed from outside; mending", host=host, vnets=[vnet.id for vnet in wrong])
        self._unmended = self._set_up(wrong, host=host or sure, anew=not sure) if wrong else []
        if self._unmended:
            self._again = time.monotonic() + AGAIN_SECONDS
            log.warning("networks can't be mended; trying again", problems=self._unmended)

    def _host_is_wrong(self) -> bool:
        out = egress.available() and (not self._egress.sound() or self._drifted(self._names.router))
        return out or not netns.exists(self._names.guests)

    def _is_wrong(self, vnet: VnetSpec) -> bool:
        return self._drifted(self._names.vnet(vnet.id)) or not self._dhcp(vnet.id).serves(vnet)

    def _drifted(self, name: str) -> bool:
        """Whether the namespace isn't as it was left; one that could not be set up isn't either."""
        drift = self._drifts.get(name)
        return drift is None or drift.changed()


def leftovers(state: Path) -> list[str]:
    """Everything on this host that carries the tag of the Skerry at `state`: namespaces, folders, processes."""
    names = Names.of(state)
    spaces = [f"namespace {name}" for name in netns.names(names.prefix)]
    folders = [f"folder {names.runtime}"] if names.runtime.exists() else []
    lines = {int(entry.name): arguments(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    ours = (str(names.runtime) + "/", str(netns.DIRECTORY / names.prefix))
    processes = [
        f"process {pid} {argv[0]}" for pid, argv in lines.items() if any(mark in part for part in argv for mark in ours)
    ]
    return [*spaces, *folders, *processes]


def remove(names: Names) -> None:
    """Take down everything that carries our tag, whoever made it. Raises NetworkProblems for what stays."""
    spaces = [name for name in netns.names(names.prefix) if name not in (names.guests, names.router)]
    problems = _attempts([("vnet", name, partial(_remove_vnet, names, name)) for name in spaces])
    problems += _attempts(
        [
            ("network", names.router, Egress(names, netns.OWN).close),
            ("network", names.guests, partial(_remove_guests, names.guests)),
        ]
    )
    shutil.rmtree(names.runtime, ignore_errors=True)
    if problems:
        raise NetworkProblems(problems)


def _remove_guests(name: str) -> None:
    """With every QEMU in it: one is left only if the folder that knew of it was removed or damaged."""
    for pid in netns.processes(name):
        log.warning("a process is left in the guests' namespace; ending it", pid=pid, argv=arguments(pid)[:3])
        end(pid)
    netns.remove(name)


def _remove_vnet(names: Names, name: str) -> None:
    folder = names.runtime / name
    Dhcp(netns.path(name), folder).stop()
    if netns.exists(name):
        netns.inside(netns.path(name), links.remove_all)
    shutil.rmtree(folder, ignore_errors=True)
    netns.remove(name)  # last: it is by this name that the next Skerry finds what a killed one left


def _attempts(work: Sequence[tuple[str, str, Callable[[], None]]]) -> list[Problem]:
    """Do each part; what fails becomes a problem and doesn't stop the others."""
    problems: list[Problem] = []
    for kind, name, part in work:
        try:
            part()
        except Exception as error:
            if not isinstance(error, HostError):
                log.exception("network failed", kind=kind, id=name)
            problems.append((kind, name, cause(error) if isinstance(error, OSError) else str(error)))
    return problems


def _plan(vnet: VnetSpec) -> tuple[str, str, Layout]:
    """The rules' fingerprint and transaction, and the devices. Raises Refused for what isn't an address or MAC."""
    try:
        return *rules.render(vnet), _layout(vnet)
    except ValueError as error:
        raise Refused(f"the network can't be made as specified: {error}; nothing of it was changed") from error


def _layout(vnet: VnetSpec) -> Layout:
    subnets = {subnet.id: gateway(subnet.prefix) for subnet in vnet.subnets}
    guests = {
        tap_name(port.id): Guest(
            port.mac.replace("-", ":").lower(), str(ipaddress.IPv4Address(port.address)), subnets.get(port.subnet, "")
        )
        for port in vnet.ports
    }
    unreachable = {str(ipaddress.IPv4Network(prefix, strict=False)) for prefix in (*vnet.prefixes, "169.254.0.0/16")}
    return Layout(frozenset(set(subnets.values()) | set(links.PLATFORM_ADDRESSES)), frozenset(unreachable), guests)


def _refuse_clashes(vnet: VnetSpec, all_vnets: Collection[VnetSpec]) -> None:
    """Devices and namespaces carry the first eight digits of an id: two alike would become one."""
    if sum(other.id[:8] == vnet.id[:8] for other in all_vnets) > 1:
        raise Refused(f"another VNet's id begins with {vnet.id[:8]} too; recreate one of them")
    taps = [tap_name(port.id) for port in vnet.ports]
    if len(set(taps)) < len(taps):
        raise Refused("two ports' ids begin with the same eight digits; recreate one of them")


def _raise_file_limit() -> None:
    """Each guest costs three listening sockets, each open public port one: the usual soft limit of 1,024 is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
