"""Rounds of starts become a table, also where some of them failed."""

from collections.abc import Callable

from bench.cold_start import Boot, Ours
from bench.figures import percentiles_row
from bench.skerry import TooSlow
from bench.warm_start import ALL, ALL_EVERY, SOME, table


def warm(seconds: float, **before: float) -> Ours:
    phases = {**before, "identity": 0.5}
    return Ours(seconds, 1.0, 1.0, answered=0.02, started=0.1, ready=0.6, done=2.0, phases=phases)


def failing(_name: str) -> Boot:
    raise TooSlow("no login")


def starts(**changed: Callable[[str], Boot]) -> dict[str, Callable[[str], Boot]]:
    usual: dict[str, Callable[[str], Boot]] = {
        "warm": lambda _: warm(2.0),
        "clone": lambda _: warm(3.0, restored=0.1),
        "cold": lambda _: Boot(20.0, 30.0, 1.0),
        "hand": lambda _: Boot(40.0, 50.0, 1.2),
        "stock": lambda _: Boot(100.0, 90.0, 2.0),
    }
    return {**usual, **changed}


def test_each_goal_is_a_ratio_of_the_same_rounds() -> None:
    found = table(ALL_EVERY + 1, starts())
    ratios = {row.what: (row.value, row.met) for row in found.rows if row.goal}
    assert ratios == {
        "warm / by hand": ("0.050 (0.050–0.050) ×", True),
        "from the template / by hand": ("0.075 (0.075–0.075) ×", True),
        "warm / stock": ("0.020 (0.020–0.020) ×", True),
        "cold / by hand": ("0.500 (0.500–0.500) ×", True),
        "cold / stock": ("0.200 (0.200–0.200) ×", True),
    }
    assert "Starts: 6 warm, 6 clone, 2 cold, 6 hand, 2 stock; failed: none." in found.note
    assert "answered after 20 ms" in found.note
    assert "restored 100 ms, identity 500 ms" in found.note


def test_starts_that_fail_are_told_and_left_out() -> None:
    found = table(1, starts(stock=failing))
    assert "failed: 1 of 1 stock" in found.note
    rows = {row.what: (row.value, row.met) for row in found.rows}
    assert rows["cold / stock"] == ("not measured", False)
    assert rows["cold / by hand"][1] is True
    assert table(1, starts(warm=failing)).rows[0].value == "not measured"


def test_a_clone_is_started_right_after_the_machine_that_stood_by_was_taken() -> None:
    for order in (SOME, ALL):
        assert order.index("clone") == order.index("warm") + 1


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentiles_row("x", [4.0, 1.0, 2.0, 3.0], "s").value == "2.0 / 4.0 s"
    assert percentiles_row("x", [float(n) for n in range(1, 101)], "s", digits=0).value == "50 / 95 s"
    assert percentiles_row("x", [], "s").value == "not measured"
