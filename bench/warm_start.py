"""From a VM's PUT to a finished `ssh … true` where there is a template, against a QEMU started by hand.

As cold-start, which also makes the first VM; then it waits for the template. One guest at a time.
"""

import json
from collections.abc import Sequence
from statistics import median

from bench.cold_start import Boot, Ours, by_hand, logins, ours, told
from bench.figures import Figures, ratio_row
from bench.guests import Site, site
from bench.options import Options, need_root
from bench.skerry import skerry, until

AT_MOST = 0.10
TEMPLATE_SECONDS = 900


def measure(options: Options) -> Figures:
    """`pairs` starts of each kind, in turns."""
    need_root()
    warm: list[Ours] = []
    theirs: list[Boot] = []
    with skerry("--accel", options.accel, "--warm", "on", image=True) as running:
        place = site(running)
        _, recipe = ours(place, "first")
        until(lambda: _template(place), TEMPLATE_SECONDS, "a template")
        for number in range(options.pairs):
            boot, _ = ours(place, f"guest{number}")
            warm.append(boot)
            theirs.append(by_hand(recipe, place.key))
            print(f"  pair {number + 1}: {told(boot)}; by hand {told(theirs[-1])}", flush=True)
        phases = _phases(place)
    rows = (ratio_row("`PUT` → login, warm / QEMU by hand → login", logins(warm), logins(theirs), AT_MOST),)
    return Figures(rows, f"Pairs: {options.pairs}. {_shares(warm, phases)}")


def _template(place: Site) -> bool | None:
    return True if any((place.skerry.state / "templates").glob("*/template.json")) else None


def _phases(place: Site) -> Sequence[dict[str, float]]:
    """What each warm start took in which phase, from the log."""
    lines = (place.skerry.state / "logs" / "skerry.log").read_text().splitlines()
    events = (json.loads(line) for line in lines if '"VM started warm"' in line)
    return [{name: event[name] for name in ("restored", "agent", "identity")} for event in events]


def _shares(warm: Sequence[Boot], phases: Sequence[dict[str, float]]) -> str:
    """Where the time to the login goes."""
    whole = median(logins(warm))
    reached = {name: median(phase[name] for phase in phases) for name in ("restored", "agent", "identity")}
    parts = ", ".join(f"{name} {100 * seconds / whole:.0f} %" for name, seconds in reached.items())
    return f"Of the time to the login, from the start of the restore to the end of each phase (medians): {parts}."
