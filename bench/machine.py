"""The machine that figures were measured on, in one line that holds nothing private."""

import os
import platform
from datetime import UTC, datetime

from bench.options import Accel
from bench.processes import run
from skerry.host.compute.accel import choose_accelerator


def describe(accel: Accel) -> str:
    """CPUs, memory, accelerator, kernel's architecture and the versions that matter."""
    cpus = len(os.sched_getaffinity(0))
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    qemu = run(["qemu-system-x86_64", "--version"], timeout=30).output.split()[3]
    accelerator = choose_accelerator(accel).accelerator.upper()
    python = platform.python_version()
    today = datetime.now(UTC).date()
    return f"{today}: {cpus} CPUs, {gib:.0f} GiB, {accelerator}, QEMU {qemu}, Python {python}."
