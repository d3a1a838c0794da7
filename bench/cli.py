"""CPU time of a short command: `skerry vm list` against `az vm list`, and of starting up alone."""

from bench.figures import Figures, amount_row, ratio_row
from bench.guests import site
from bench.options import Options, need_az
from bench.processes import run
from bench.skerry import PROGRAM, skerry

START_SECONDS = 0.15


def measure(options: Options) -> Figures:
    """Both list the same VM of the same Skerry. The first round only fills caches."""
    need_az(options)
    light, az, start = [], [], []
    with skerry("--simulate", "1", image=False) as running:
        site(running).create("one")
        exports = running.exports(options.az)
        for _ in range(options.pairs + 1):
            light.append(run([PROGRAM, "vm", "list"], environment=exports, timeout=120).cpu)
            az.append(run([options.az, "vm", "list"], environment=exports, timeout=120).cpu)
            start.append(run([PROGRAM, "vm", "list", "--help"], environment=exports, timeout=120).cpu)
    rows = (
        ratio_row("CPU time of `skerry vm list` / `az vm list`", light[1:], az[1:]),
        amount_row("CPU time of `skerry vm list --help`: start-up alone", start[1:], "s", START_SECONDS, digits=3),
    )
    return Figures(rows, f"Pairs: {options.pairs}; one VM in the list.")
