"""What the host can give."""

import os
from pathlib import Path

from skerry.host.capacity import GIB, Promise, free_gib, measure


def test_memory_less_a_headroom(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:        8388608 kB\nMemFree: 1 kB\n")
    capacity = measure("tcg", meminfo=meminfo)
    assert (capacity.memory_bytes, capacity.accelerator) == (7 * GIB, "tcg")
    assert capacity.cpus == len(os.sched_getaffinity(0))
    assert measure("tcg", Promise(16), meminfo).cpus == 16
    assert measure("tcg", Promise(memory_gib=50.5), meminfo).memory_bytes == 101 * GIB // 2


def test_free_space_in_whole_gib() -> None:
    assert free_gib(lambda: 5 * GIB + 1) == 5 * GIB
