"""Figures go between their own markers and nowhere else."""

from pathlib import Path

import pytest
from bench import report

PAGE = "before\n<!-- bench a -->\nold\n<!-- end a -->\nbetween\n<!-- bench b -->\n<!-- end b -->\nafter\n"


def test_only_the_named_place_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    report.write("a", r"new \1", page)
    report.write("b", "first", page)
    expected = (
        "before\n<!-- bench a -->\nnew \\1\n<!-- end a -->\nbetween\n<!-- bench b -->\nfirst\n<!-- end b -->\nafter\n"
    )
    assert page.read_text() == expected


def test_a_page_without_the_place_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    with pytest.raises(ValueError, match="0 places"):
        report.write("c", "new", page)
    assert page.read_text() == PAGE


def test_the_page_of_the_project_has_a_place_for_every_benchmark() -> None:
    from bench.__main__ import BENCHMARKS

    text = report.PAGE.read_text()
    for name in BENCHMARKS:
        assert text.count(f"<!-- bench {name} -->\n") == text.count(f"<!-- end {name} -->") == 1
