"""What `az vm create --no-wait` adds to az's own start-up, by the clock, on a simulated host."""

from collections.abc import Sequence
from pathlib import Path

from bench.figures import Figures, amount_row
from bench.guests import GROUP, SIZE, USER, new_key
from bench.options import Options, need_az
from bench.processes import Cost, cpu_seconds, run
from bench.skerry import skerry

MORE_SECONDS = 1.0


def measure(options: Options) -> Figures:
    """Each creation brings its own address and NIC. The first round only fills caches."""
    need_az(options)
    create, bare, own = [], [], []
    with skerry("--simulate", "1", image=False) as running:
        key = new_key(running.folder)
        running.client.change("PUT", running.client.group(GROUP), {"location": "local"})
        exports = running.exports(options.az)
        words: list[str | Path] = [options.az, "vm", "create", "-g", GROUP, "--image", "Debian12", "--size", SIZE]
        words += ["--no-wait", "--admin-username", USER, "--ssh-key-values", f"{key}.pub"]
        for number in range(options.pairs + 1):
            before = cpu_seconds(running.pid)
            create.append(run([*words, "-n", f"vm{number}"], environment=exports, timeout=180))
            own.append(cpu_seconds(running.pid) - before)
            bare.append(run([options.az, "account", "show"], environment=exports, timeout=120))
    return _figures(create[1:], bare[1:], own[1:])


def _figures(create: Sequence[Cost], bare: Sequence[Cost], own: Sequence[float]) -> Figures:
    pairs = list(zip(create, bare, strict=True))
    more = [one.seconds - other.seconds for one, other in pairs]
    more_cpu = [one.cpu - other.cpu for one, other in pairs]
    rows = (
        amount_row("`az vm create --no-wait` less `az account show`", more, "s", MORE_SECONDS),
        amount_row("the same in CPU time of az", more_cpu, "s"),
        amount_row("CPU time of Skerry meanwhile", own, "s"),
    )
    return Figures(rows, f"Pairs: {len(pairs)}.")
