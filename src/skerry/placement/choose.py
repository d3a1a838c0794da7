"""From a request and the state of all hosts to a choice.

Memory is never promised twice: a guest that the host can't back is killed. vCPUs are, up to VCPU_RATIO for each
logical CPU: guests mostly idle, and too many busy ones are slow but right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

VCPU_RATIO = 8
GIB = 1 << 30


@dataclass(frozen=True)
class Request:
    """What a VM needs."""

    vcpus: int
    memory_bytes: int


@dataclass(frozen=True)
class HostState:
    """A host: what it can give in all, and what the VMs that are placed on it take."""

    id: str
    cpus: int
    memory_bytes: int
    used_vcpus: int = 0
    used_memory_bytes: int = 0

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
    """The id of the host, or None; and for every host without room, why."""

    host: str | None
    rejected: Mapping[str, str]


def choose(request: Request, hosts: Sequence[HostState]) -> Choice:
    """The host with most free memory of those that have room; of equals the first by id."""
    reasons = {host.id: _reason(request, host) for host in hosts}
    fitting = [host for host in hosts if not reasons[host.id]]
    best = min(fitting, key=lambda host: (-host.free_memory_bytes, host.id), default=None)
    return Choice(best.id if best else None, {name: reason for name, reason in reasons.items() if reason})


def explain(choice: Choice) -> str:
    """Why hosts were turned down, as a sentence."""
    if not choice.rejected:
        return "no host has reported what it can give."
    return "; ".join(f"host {name}: {reason}" for name, reason in choice.rejected.items()) + "."


def _reason(request: Request, host: HostState) -> str:
    """Why the request doesn't fit; empty if it does."""
    reasons = []
    if request.memory_bytes > host.free_memory_bytes:
        reasons.append(
            f"needs {_gib(request.memory_bytes)} of memory, {_gib(host.free_memory_bytes)} of "
            f"{_gib(host.memory_bytes)} free"
        )
    if request.vcpus > host.free_vcpus:
        reasons.append(
            f"needs {request.vcpus} vCPUs, {host.free_vcpus} of {host.cpus * VCPU_RATIO} free "
            f"({host.cpus} CPUs, each shared by up to {VCPU_RATIO} vCPUs)"
        )
    return " and ".join(reasons)


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB".replace(".0 ", " ")
