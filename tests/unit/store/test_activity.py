"""The activity log's rows: order, pages, and how old ones go."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.store import Store
from skerry.store.activity import ActivityRow, Window


@pytest.fixture
def store(database: str | Path) -> Iterator[Store]:
    found = Store(database)
    with found.write() as work:
        for number in range(10):
            status = ("succeeded", "failed")[number % 2]
            work.activity.add(ActivityRow(f"e{number}", number // 2, f"r{number % 3}", "g", "c", "me", status, b"{}"))
    yield found
    found.close()


def test_newest_first_and_on_after_a_row(store: Store) -> None:
    with store.read() as work:
        first = work.activity.list(Window(0, 100), 3)
        rest = work.activity.list(Window(0, 100), 100, (first[-1].at, first[-1].id))
    assert [row.id for row in first] == ["e9", "e8", "e7"]
    assert [row.id for row in rest] == ["e6", "e5", "e4", "e3", "e2", "e1", "e0"]


def test_a_window_has_both_ends_and_one_resource(store: Store) -> None:
    with store.read() as work:
        assert [row.id for row in work.activity.list(Window(1, 3, resource="r0"), 9)] == ["e6", "e3"]
        assert work.activity.list(Window(1, 3, group="other"), 9) == []


def test_one_caller_and_one_status(store: Store) -> None:
    with store.read() as work:
        assert [row.id for row in work.activity.list(Window(2, caller="me", status="failed"), 9)] == ["e9", "e7", "e5"]
        assert work.activity.list(Window(0, caller="you"), 9) == []
