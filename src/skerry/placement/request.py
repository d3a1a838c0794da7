"""What a VM needs, what a host has, and why the one doesn't fit on the other.

Memory is never promised twice: a guest that the host can't back is killed. vCPUs are, up to VCPU_RATIO for each
logical CPU: guests mostly idle, and too many busy ones are slow but right.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

VCPU_RATIO = 8
GIB = 1 << 30
EXAMPLES = 3  # hosts that a sentence names for each reason
SILENT = "reports no more"


@dataclass(frozen=True)
class Request:
    """What a VM needs. `zone`, `fault_domain`, `host`: only there, if not None; `tolerations`: taints that it bears."""

    vcpus: int
    memory_bytes: int
    architecture: Literal["x64", "Arm64"] = "x64"
    zone: str | None = None
    fault_domain: int | None = None
    tolerations: frozenset[str] = frozenset()
    host: str | None = None


class HostState(Struct, frozen=True):
    """A host: what it can give in all, what the VMs that are placed on it take, and where it stands.

    A host without a zone takes VMs of every zone: where nobody names zones, they are names only. `silent_since`: when
    (seconds since the epoch) it last reported, if that is too long ago.
    """

    id: str
    cpus: int
    memory_bytes: int
    used_vcpus: int = 0
    used_memory_bytes: int = 0
    architecture: Literal["x64", "Arm64"] = "x64"
    zone: str = ""
    fault_domain: int = 0
    taints: frozenset[str] = frozenset()
    silent_since: float | None = None

    @property
    def free_vcpus(self) -> int:
        """vCPUs that can still be promised."""
        return max(self.cpus * VCPU_RATIO - self.used_vcpus, 0)

    @property
    def free_memory_bytes(self) -> int:
        """Memory that no VM has."""
        return max(self.memory_bytes - self.used_memory_bytes, 0)


@dataclass(frozen=True)
class Choice:
    """The id of the host, or None, and what became of the others.

    `counts`: how many hosts were turned down, by reason. `rejected`: each of them with its own reason; in a large fleet
    only examples. `may_come`: there is no host, but one might do as soon as it reports.
    """

    host: str | None
    hosts: int
    counts: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, str] = field(default_factory=dict)
    may_come: bool = False


def reasons(request: Request, host: HostState) -> Iterator[tuple[str, str]]:
    """Why the request doesn't fit on the host: (in short, with this host's figures) each; nothing if it does."""
    if host.silent_since is not None:
        when = datetime.fromtimestamp(host.silent_since, UTC)
        yield SILENT, f"has not reported since {when:%Y-%m-%dT%H:%M:%SZ}"
    if request.host not in (None, host.id):
        yield "is not where the VM's disks are", f"the VM's disks are on host {request.host}"
    if request.architecture != host.architecture:
        yield "has another architecture", f"is {host.architecture}, the VM's image is for {request.architecture}"
    if request.zone is not None and host.zone not in ("", request.zone):
        yield "is in another zone", f"is in zone {host.zone}, not {request.zone}"
    if request.fault_domain not in (None, host.fault_domain):
        yield "is in another fault domain", f"is in fault domain {host.fault_domain}, not {request.fault_domain}"
    if not host.taints <= request.tolerations:
        yield "is kept for others", f"is kept for others: {', '.join(sorted(host.taints - request.tolerations))}"
    if request.memory_bytes > host.free_memory_bytes:
        yield (
            "has too little memory free",
            f"needs {_gib(request.memory_bytes)} of memory, {_gib(host.free_memory_bytes)} of "
            f"{_gib(host.memory_bytes)} free",
        )
    if request.vcpus > host.free_vcpus:
        yield (
            "has too few vCPUs free",
            f"needs {request.vcpus} vCPUs, {host.free_vcpus} of {host.cpus * VCPU_RATIO} free "
            f"({host.cpus} CPUs, each shared by up to {VCPU_RATIO} vCPUs)",
        )


def explain(request: Request, hosts: Iterable[HostState], few: int) -> Choice:
    """Why every one of these hosts is turned down; up to `few` of them by name, of more EXAMPLES for each reason."""
    counts: Counter[str] = Counter()
    rejected: dict[str, str] = {}
    known = list(hosts)
    may_come = not known
    for host in known:
        found = list(reasons(request, host))
        if not found:
            continue
        short = " and ".join(short for short, _ in found)
        may_come = may_come or short == SILENT
        counts[short] += 1
        if len(known) <= few or counts[short] <= EXAMPLES:
            rejected[host.id] = " and ".join(long for _, long in found)
    return Choice(None, len(known), counts, rejected, may_come)


def sentence(choice: Choice) -> str:
    """Why hosts were turned down, in words: each where all are named, else how many and some of them."""
    if not choice.hosts:
        return "no host has reported what it can give."
    if len(choice.rejected) == choice.hosts:
        return "; ".join(f"host {name}: {reason}" for name, reason in choice.rejected.items()) + "."
    counts = "; ".join(f"{count} of {choice.hosts} hosts: {reason}" for reason, count in choice.counts.items())
    examples = "; ".join(f"host {name}: {reason}" for name, reason in choice.rejected.items())
    return f"{counts}. Among them {examples}."


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB".replace(".0 ", " ")
