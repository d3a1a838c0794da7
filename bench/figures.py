"""What a benchmark finds: rows of a table, each a ratio or an amount with its spread and its goal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Row:
    """One line of a table. `met` is None where there is no goal."""

    what: str
    value: str
    goal: str = ""
    met: bool | None = None

    @property
    def verdict(self) -> str:
        """yes, no, or nothing."""
        return {True: "yes", False: "no", None: ""}[self.met]


@dataclass(frozen=True)
class Figures:
    """A benchmark's table and the paragraph below it: rounds, and what the numbers are made of."""

    rows: tuple[Row, ...]
    note: str

    def markdown(self) -> str:
        """The table and the note."""
        lines = [f"| {row.what} | {row.value} | {row.goal} | {row.verdict} |" for row in self.rows]
        head = ["| what | median (min–max) | goal | met |", "|---|---|---|---|"]
        return "\n".join([*head, *lines, "", self.note])


def ratio_row(
    what: str, ours: Sequence[float], theirs: Sequence[float], at_most: float | None = None, digits: int = 2
) -> Row:
    """The ratio of two series that were measured in turns, pair by pair: a machine that slows down slows both."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    goal = "" if at_most is None else f"≤ {at_most:.{digits}f} ×"
    return Row(what, f"{spread(ratios, digits)} ×", goal, _met(ratios, at_most))


def percentiles_row(what: str, amounts: Sequence[float], unit: str, digits: int = 1) -> Row:
    """The 50th and the 95th percentile, each a value that was measured (nearest rank)."""
    if not amounts:
        return Row(what, "not measured")
    ordered = sorted(amounts)
    middle, late = (ordered[math.ceil(len(ordered) * share) - 1] for share in (0.50, 0.95))
    return Row(what, f"{middle:.{digits}f} / {late:.{digits}f} {unit}")


def amount_row(what: str, amounts: Sequence[float], unit: str, at_most: float | None = None, digits: int = 2) -> Row:
    """An amount for which the goal is one, too."""
    goal = "" if at_most is None else f"≤ {at_most:g} {unit}"
    return Row(what, f"{spread(amounts, digits)} {unit}", goal, _met(amounts, at_most))


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, and least and most where there are several."""
    middle = f"{median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def _met(values: Sequence[float], at_most: float | None) -> bool | None:
    return None if at_most is None else median(values) <= at_most
