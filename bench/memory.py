"""What Skerry's two processes hold on a real host, idle and with one guest, whose own memory is not counted."""

import time

from bench.figures import Figures, Row, amount_row
from bench.guests import site
from bench.options import Options, need_root
from bench.processes import Memory, memory, name, processes_with
from bench.skerry import Skerry, skerry
from skerry.host.network.names import Names

MOST_MB = 150
SETTLE_SECONDS = 10
MB = 1e6


def measure(options: Options) -> Figures:
    """Once: memory hardly differs from run to run."""
    need_root()
    with skerry("--accel", options.accel, image=True) as running:
        time.sleep(SETTLE_SECONDS)
        idle = memory(running.pid)
        site(running).create("one")
        time.sleep(SETTLE_SECONDS)
        busy, helpers = memory(running.pid), _helpers(running)
    names = ", ".join(f"{name} {held.pss / MB:.0f} MB" for name, held in helpers) or "none"
    rows = (*_rows("idle, no VM", idle), *_rows("with one VM", busy))
    return Figures(rows, f"Helper processes with one VM (PSS): {names}. QEMU is not counted.")


def _rows(when: str, held: Memory) -> tuple[Row, Row]:
    return (
        amount_row(f"RSS, {when}", [held.rss / MB], "MB", digits=0),  # counts twice what the two share
        amount_row(f"PSS, {when}", [held.pss / MB], "MB", MOST_MB, digits=0),
    )


def _helpers(running: Skerry) -> list[tuple[str, Memory]]:
    """The programs that Skerry runs beside itself; they carry its tag in their arguments and are no children of it."""
    tag = f"skerry-{Names.of(running.state).tag}"
    return [(name(pid), memory(pid)) for pid in processes_with(tag) if not name(pid).startswith("qemu")]
