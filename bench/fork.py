"""A fork of a running VM: how long the original stands still, and when the fork can be logged into.

The original idles. Each round makes a checkpoint, forks once, logs in and deletes both.
"""

import json
import time
from pathlib import Path
from typing import Any

from bench.cold_start import log_in
from bench.figures import Figures, amount_row
from bench.guests import GROUP, Site, site
from bench.options import Options, need_root
from bench.processes import run
from bench.skerry import PROGRAM, skerry

AT_MOST_MS = 25
SECONDS = 600


def measure(options: Options) -> Figures:
    """`pairs` rounds."""
    need_root()
    pauses: list[float] = []
    disks: list[float] = []
    made: list[float] = []
    logins: list[float] = []
    with skerry("--accel", options.accel, "--warm", "off", image=True) as running:
        place = site(running)
        place.create("first")
        for number in range(options.pairs):
            began = time.monotonic()
            kept = _command(place, "checkpoint", "first", "--name", f"c{number}")["properties"]["skerry"]
            made.append(time.monotonic() - began)
            pauses.append(1000 * kept["pauseSeconds"])
            disks.append(1000 * kept["diskPauseSeconds"])
            logins.append(_fork(place, f"c{number}"))
            print(f"  {number + 1}: {pauses[-1]:.0f} ms, disks {disks[-1]:.1f} ms; {logins[-1]:.1f} s", flush=True)
            _command(place, "delete-checkpoint", "first", f"c{number}", "--yes")
    rows = (
        amount_row("pause of the original", pauses, "ms", digits=0),
        amount_row("of it its disks", disks, "ms", AT_MOST_MS, digits=1),
        amount_row("`skerry vm checkpoint`", made, "s", digits=1),
        amount_row("`skerry vm fork --from` → login", logins, "s", digits=1),
    )
    return Figures(rows, f"Rounds: {options.pairs}.")


def _fork(place: Site, checkpoint: str) -> float:
    """Seconds until a fork can be logged into; it is deleted."""
    began = time.monotonic()
    [fork] = _command(place, "fork", "first", "--from", checkpoint)
    log_in(fork["publicIps"], 22, place.key)
    seconds = time.monotonic() - began
    _command(place, "delete", fork["name"], "--yes")
    return seconds


def _command(place: Site, verb: str, *words: str) -> Any:
    argv: list[str | Path] = [PROGRAM, "vm", verb, *words, "-g", GROUP, "-o", "json"]
    output = run(argv, environment=place.skerry.environment, timeout=SECONDS).output
    return json.loads(output) if output.strip() else None
