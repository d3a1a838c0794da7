"""From a VM's PUT to a finished `ssh … true`: warm, cold, against our image and Debian's stock one started by hand.

In rounds, one guest at a time: with a machine that stands by, from the template while none does, by hand; in every
fifth round also cold, and the stock image. A start that fails is told and left out; the others go on.
"""

import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from bench import stock
from bench.bare_guest import Ended, Recipe
from bench.cold_start import AT_MOST, Boot, Ours, booted, by_hand, ours, told
from bench.figures import Figures, Row, percentiles_row, ratio_row
from bench.guests import KEY, USER, Site, public_key, sites
from bench.options import Options, need_root
from bench.processes import CommandFailed
from bench.skerry import Skerry, TooSlow, free_port, skerry, until
from skerry.cli.errors import CliError

WARM_OF_HAND, WARM_OF_STOCK, COLD_OF_STOCK = 0.10, 0.025, 0.50
TEMPLATE_SECONDS = 900
OFF = {"skerry.warmStart": "off"}
SOME, ALL = ("warm", "clone", "hand"), ("warm", "clone", "cold", "hand", "stock")
ALL_EVERY = 5  # rounds
WHAT = {
    "warm": "warm, one stands by: `PUT` → login",
    "clone": "warm, from the template: `PUT` → login",
    "cold": "cold: `PUT` → login",
    "hand": "QEMU by hand, our image and a seed → login",
    "stock": "QEMU by hand, Debian's stock image, QEMU's defaults → login",
}
FAILURES = (TooSlow, Ended, CommandFailed, CliError, OSError, subprocess.SubprocessError)

# Of one round: the starts of each kind that went well.
Round = Mapping[str, Sequence[Boot]]


class StartedOtherwise(TooSlow):
    """A VM didn't start in the way that it should have."""


def measure(options: Options) -> Figures:
    """`pairs` rounds."""
    need_root()
    stock.image()
    with skerry("--accel", options.accel, "--warm", "on", "--standby", "1", image=True) as running:
        # A NIC has the MAC address of its first VM ever after, so that nothing stands by for another one on it.
        places = iter(sites(running, 2 + len(ALL) * options.pairs))
        _, recipe = ours(next(places), "first", OFF)
        ours(next(places), "second")
        until(lambda: has_template(running), TEMPLATE_SECONDS, "a template")
        return table(options.pairs, _starts(running, places, recipe))


def table(count: int, starts: Mapping[str, Callable[[str], Boot]]) -> Figures:
    """The figures of so many rounds of these starts; each takes a name for its VM."""
    orders = [SOME if number % ALL_EVERY else ALL for number in range(count)]
    rounds = [_round(number, order, starts) for number, order in enumerate(orders, 1)]
    rows = [_times(kind, rounds) for kind in WHAT] + [*_logins(rounds), *_ratios(rounds)]
    tried = Counter(kind for order in orders for kind in order)
    return Figures(tuple(rows), f"Rounds: {count}. {_failures(tried, rounds)} {_phases(rounds)}")


def has_template(skerry: Skerry) -> bool | None:
    """True once there is one that can be used; for `until`."""
    return True if any((skerry.state / "templates").glob("*/template.json")) else None


def standing_by(skerry: Skerry, count: int) -> bool | None:
    """True once so many machines do; for `until`."""
    status = skerry.client.get(f"{skerry.client.subscription}/providers/Skerry.Admin/status")
    return True if status["templates"]["standby"] == count else None


def _starts(running: Skerry, places: Iterator[Site], recipe: Recipe) -> Mapping[str, Callable[[str], Boot]]:
    """How each kind is started. All but a clone wait until a machine stands by: setting one up takes CPU time."""
    key = running.folder / KEY

    def rested(start: Callable[[str], Boot]) -> Callable[[str], Boot]:
        def wait_and_start(name: str) -> Boot:
            until(lambda: standing_by(running, 1), TEMPLATE_SECONDS, "a machine that stands by")
            return start(name)

        return wait_and_start

    return {
        "warm": rested(lambda name: _warm(next(places), name, stood_by=True)),
        "clone": lambda name: _warm(next(places), name, stood_by=False),
        "cold": rested(lambda name: ours(next(places), name, OFF)[0]),
        "hand": rested(lambda _: by_hand(recipe, key)),
        "stock": rested(lambda _: _stock(recipe, key)),
    }


def _warm(place: Site, name: str, *, stood_by: bool) -> Ours:
    boot, _ = ours(place, name)
    if not boot.phases or ("restored" in boot.phases) == stood_by:
        raise StartedOtherwise(f"VM {name}: {', '.join(boot.phases) or 'it started cold'}")
    return boot


def _stock(recipe: Recipe, key: Path) -> Boot:
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as name:
        port = free_port()
        words = stock.prepare(Path(name), public_key(key), USER, port, recipe.memory)
        return booted(words, port, recipe, key)


def _round(number: int, order: Sequence[str], starts: Mapping[str, Callable[[str], Boot]]) -> Round:
    found: dict[str, list[Boot]] = {kind: [] for kind in starts}
    for place, kind in enumerate(order):
        try:
            found[kind].append(starts[kind](f"guest{number}-{place}"))
            print(f"  round {number}, {kind}: {told(found[kind][-1])}", flush=True)
        except FAILURES as failure:
            print(f"  round {number}, {kind} failed: {failure}", flush=True)
    return found


def _all(kind: str, rounds: Sequence[Round]) -> list[Boot]:
    return [boot for found in rounds for boot in found[kind]]


def _times(kind: str, rounds: Sequence[Round]) -> Row:
    return percentiles_row(f"{WHAT[kind]}, p50 / p95", [boot.login for boot in _all(kind, rounds)], "s")


def _logins(rounds: Sequence[Round]) -> list[Row]:
    return [
        percentiles_row(f"{what}: a login alone, p50 / p95", [boot.again for boot in _all(kind, rounds)], "s")
        for kind, what in (("warm", "warm"), ("hand", "by hand"))
    ]


def _ratios(rounds: Sequence[Round]) -> list[Row]:
    """Round by round: each side's median."""
    wanted = (
        ("warm / by hand", "warm", "hand", WARM_OF_HAND),
        ("from the template / by hand", "clone", "hand", WARM_OF_HAND),
        ("warm / stock", "warm", "stock", WARM_OF_STOCK),
        ("cold / by hand", "cold", "hand", AT_MOST),
        ("cold / stock", "cold", "stock", COLD_OF_STOCK),
    )
    return [_ratio(what, ours, theirs, goal, rounds) for what, ours, theirs, goal in wanted]


def _ratio(what: str, ours: str, theirs: str, goal: float, rounds: Sequence[Round]) -> Row:
    both = [found for found in rounds if found[ours] and found[theirs]]
    if not both:
        return Row(what, "not measured", f"≤ {goal:g} ×", False)
    mine, other = ([median(boot.login for boot in found[kind]) for found in both] for kind in (ours, theirs))
    return ratio_row(what, mine, other, goal, digits=3)


def _failures(tried: Mapping[str, int], rounds: Sequence[Round]) -> str:
    missing = [f"{count - len(_all(kind, rounds))} of {count} {kind}" for kind, count in tried.items()]
    told = ", ".join(text for text in missing if not text.startswith("0 "))
    counts = ", ".join(f"{tried[kind]} {kind}" for kind in WHAT)
    return f"Starts: {counts}; failed: {told or 'none'}."


def _phases(rounds: Sequence[Round]) -> str:
    """What of a warm start is ours, and what the guest's."""
    told = []
    for what, kind in (("Where one stands by", "warm"), ("From the template", "clone")):
        boots = [boot for boot in _all(kind, rounds) if isinstance(boot, Ours)]
        if boots:
            parts = [f"{name} {_ms(boot.phases.get(name, 0) for boot in boots)}" for name in boots[0].phases]
            answered = f"the `PUT` is answered after {_ms(boot.answered for boot in boots)}"
            told.append(f"{what} (medians): {answered}; since the guest was woken, ends of phases: {', '.join(parts)}.")
    return " ".join(told)


def _ms(seconds: Iterable[float]) -> str:
    return f"{1000 * median(seconds):.0f} ms"
