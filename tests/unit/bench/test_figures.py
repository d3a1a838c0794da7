"""Ratios are taken pair by pair, and a goal is judged by the median."""

from bench.figures import Figures, Row, amount_row, ratio_row, spread


def test_a_ratio_is_the_median_of_the_pairs() -> None:
    row = ratio_row("a / b", [1.0, 20.0, 3.0], [1.0, 10.0, 1.0], at_most=2.0)
    assert row.value == "2.00 (1.00–3.00) ×"
    assert row.met is True
    assert row.verdict == "yes"


def test_a_missed_goal_says_so() -> None:
    assert ratio_row("a / b", [3.0], [1.0], at_most=2.0).verdict == "no"
    assert amount_row("m", [151.0], "MB", 150).met is False


def test_without_a_goal_there_is_no_verdict() -> None:
    row = amount_row("m", [1.25], "s")
    assert (row.value, row.goal, row.verdict) == ("1.25 s", "", "")


def test_one_value_has_no_spread() -> None:
    assert spread([1.0]) == "1.00"
    assert spread([3.0, 1.0], digits=0) == "2 (1–3)"


def test_the_table_is_markdown() -> None:
    text = Figures((Row("w", "v", "g", True),), "note").markdown()
    assert text.splitlines()[2:] == ["| w | v | g | yes |", "", "note"]
