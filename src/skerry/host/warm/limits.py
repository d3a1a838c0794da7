"""How much of the host templates may take."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from skerry.host.capacity import GIB, total_memory

SPARE_BYTES = 512 << 20  # of memory that must stay free beside a template in the making, or machines that stand by
MEMORY_SHARE, DISK_SHARE = 8, 10  # a template takes at most one part in so many of the host's, unless told otherwise


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that can be had without swapping (proc(5): MemAvailable)."""
    line = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024


@dataclass(frozen=True)
class Limits:
    """Of all templates together: what is loaded of them into memory, and their files. In bytes."""

    memory_bytes: int
    disk_bytes: int

    @classmethod
    def of(cls, state: Path, memory_gib: float | None = None, disk_gib: float | None = None) -> "Limits":
        """These limits, or where there are none shares of the host's memory and of the file system of `state`."""
        memory = total_memory() // MEMORY_SHARE if memory_gib is None else int(memory_gib * GIB)
        disk = shutil.disk_usage(state).total // DISK_SHARE if disk_gib is None else int(disk_gib * GIB)
        return cls(memory, disk)
