"""Memory and CPU limits of a VM, in cgroups version 1 or 2; a host without usable cgroups runs without limits."""

from contextlib import suppress
from pathlib import Path

import structlog

log = structlog.get_logger()

ROOT = Path("/sys/fs/cgroup")
MIB = 1 << 20
PERIOD = 100_000
# What one vCPU counts when guests compete, and the kernel's limits. All guests together count as one for the host.
SHARES_V1, MOST_V1 = 1024, 262_144
WEIGHT_V2, MOST_V2 = 100, 10_000

# QEMU's own: TCG's code cache (256 MiB) and tables, device state, I/O buffers.
OVERHEAD = 768 * MIB


class Cgroups:
    """`skerry/<vm>` below each hierarchy that is needed."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self.version = _version(root)
        self._complained = False

    def limit(self, vm: str, pid: int, memory_bytes: int, vcpus: int) -> None:
        """Move the process into limits of its guest's memory plus an overhead, and of one CPU per vCPU, its weight."""
        try:
            if self.version == 2:
                self._limit_v2(vm, pid, memory_bytes + OVERHEAD, vcpus)
            elif self.version == 1:
                self._limit_v1(vm, pid, memory_bytes + OVERHEAD, vcpus)
        except OSError as error:
            self._complain(error)

    def remove(self, vm: str) -> None:
        """Take the VM's groups away. Its processes must be gone."""
        for group in self._groups(vm):
            with suppress(OSError):
                group.rmdir()

    def detail(self) -> str:
        """For `skerry doctor`."""
        return f"version {self.version}" if self.version else "none: guests run without memory and CPU limits"

    def _groups(self, vm: str) -> list[Path]:
        if self.version == 2:
            return [self._root / "skerry" / vm]
        return [self._root / controller / "skerry" / vm for controller in ("memory", "cpu")]

    def _limit_v2(self, vm: str, pid: int, memory: int, vcpus: int) -> None:
        group = self._root / "skerry" / vm
        group.mkdir(parents=True, exist_ok=True)
        for parent in (self._root, self._root / "skerry"):
            (parent / "cgroup.subtree_control").write_text("+memory +cpu")
        (group / "memory.max").write_text(str(memory))
        (group / "cpu.max").write_text(f"{vcpus * PERIOD} {PERIOD}")
        (group / "cpu.weight").write_text(str(min(vcpus * WEIGHT_V2, MOST_V2)))
        (group / "cgroup.procs").write_text(str(pid))

    def _limit_v1(self, vm: str, pid: int, memory: int, vcpus: int) -> None:
        for group in self._groups(vm):
            group.mkdir(parents=True, exist_ok=True)
        by_memory, by_cpu = self._groups(vm)
        (by_memory / "memory.limit_in_bytes").write_text(str(memory))
        (by_cpu / "cpu.cfs_period_us").write_text(str(PERIOD))
        (by_cpu / "cpu.cfs_quota_us").write_text(str(vcpus * PERIOD))
        (by_cpu / "cpu.shares").write_text(str(min(vcpus * SHARES_V1, MOST_V1)))
        for group in (by_memory, by_cpu):
            (group / "cgroup.procs").write_text(str(pid))

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            log.warning("cgroups can't be used; guests run without memory and CPU limits", error=str(error))
        self._complained = True


def _version(root: Path) -> int:
    """2, 1, or 0 for a host where neither has both the memory and the CPU controller."""
    try:
        controllers = (root / "cgroup.controllers").read_text().split()
    except OSError:
        controllers = []
    if {"memory", "cpu"} <= set(controllers):
        return 2
    return 1 if (root / "memory").is_dir() and (root / "cpu").is_dir() else 0
