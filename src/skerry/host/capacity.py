"""What this host can give to guests."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skerry.hostspec import HostCapacity

GIB = 1 << 30
# The host's own system, Skerry, and the page cache that disks need.
MEMORY_HEADROOM = GIB


@dataclass(frozen=True)
class Promise:
    """What guests are promised; None: what the host has."""

    cpus: int | None = None
    memory_gib: float | None = None


def measure(
    accelerator: Literal["kvm", "tcg", "fake"], promise: Promise = Promise(), meminfo: Path = Path("/proc/meminfo")
) -> HostCapacity:
    """What is promised, or as many CPUs as this process may use, and memory less a headroom of 1 GiB.

    `disk_bytes` is left 0.
    """
    memory = max(total_memory(meminfo) - MEMORY_HEADROOM, 0)
    return HostCapacity(
        cpus=promise.cpus or len(os.sched_getaffinity(0)),
        memory_bytes=memory if promise.memory_gib is None else int(promise.memory_gib * GIB),
        disk_bytes=0,
        accelerator=accelerator,
    )


def free_gib(free_bytes: Callable[[], int]) -> int:
    """Free space in bytes, rounded down to whole GiB so that reports don't change with every written block."""
    return free_bytes() // GIB * GIB


def total_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """All of the host's memory, in bytes."""
    line = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemTotal:"))
    return int(line.split()[1]) * 1024
