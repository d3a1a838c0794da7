"""What `az vm create --no-wait` adds to az's own start-up, by the clock, on a simulated host."""

from pathlib import Path

from bench.figures import Figures, amount_row, ratio_row
from bench.guests import GROUP, SIZE, USER, new_key
from bench.options import Options, need_az
from bench.processes import run
from bench.skerry import skerry

MORE_SECONDS = 1.0


def measure(options: Options) -> Figures:
    """Each creation brings its own network, address and NIC. The first round only fills caches."""
    need_az(options)
    create, bare = [], []
    with skerry("--simulate", "1", image=False) as running:
        key = new_key(running.folder)
        running.client.change("PUT", running.client.group(GROUP), {"location": "local"})
        exports = running.exports(options.az)
        words: list[str | Path] = [
            options.az,
            "vm",
            "create",
            "-g",
            GROUP,
            "--image",
            "Debian12",
            "--size",
            SIZE,
            "--no-wait",
        ]
        words += ["--admin-username", USER, "--ssh-key-values", f"{key}.pub"]
        for number in range(options.pairs + 1):
            create.append(run([*words, "-n", f"vm{number}"], environment=exports, timeout=180).seconds)
            bare.append(run([options.az, "account", "show"], environment=exports, timeout=120).seconds)
    more = [whole - start for whole, start in zip(create[1:], bare[1:], strict=True)]
    rows = (
        amount_row("`az vm create --no-wait` less `az account show`", more, "s", MORE_SECONDS),
        ratio_row("`az vm create --no-wait` / `az account show`", create[1:], bare[1:]),
    )
    return Figures(rows, f"{options.pairs} pairs.")
