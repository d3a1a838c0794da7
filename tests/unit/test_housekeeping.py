"""What is forgotten, and what is kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.housekeeping import Housekeeper
from skerry.store import OperationRow, ResourceRow, Store
from skerry.store.activity import KEPT_SECONDS, ActivityRow, Window
from skerry.store.migrate import prepare

DAY = 24 * 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    prepare(tmp_path / "db")
    found = Store(tmp_path / "db")
    yield found
    found.close()


def events(store: Store) -> list[str]:
    with store.read() as work:
        return [row.id for row in work.activity.list(Window(0, 1e12), 99)]


@pytest.fixture
def ten_events(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """At 0, 0, 1, 1 … 4 seconds; few are removed at once."""
    monkeypatch.setattr("skerry.store.activity.BATCH", 2)
    with store.write() as work:
        for number in range(10):
            work.activity.add(ActivityRow(f"e{number}", number // 2, "r", "g", "c", "me", "succeeded", b"{}"))
    return store


def test_old_events_go(ten_events: Store) -> None:
    Housekeeper(ten_events).forget_events(KEPT_SECONDS + 3)
    assert events(ten_events) == ["e9", "e8", "e7", "e6"]


def test_too_many_events_are_thinned_from_the_oldest(ten_events: Store) -> None:
    Housekeeper(ten_events).forget_events(0, keep=4)
    assert events(ten_events) == ["e9", "e8", "e7", "e6"]
    Housekeeper(ten_events).forget_events(0, keep=4)
    assert events(ten_events) == ["e9", "e8", "e7", "e6"]


def operation(name: str, target: str, started: float, ended: float | None) -> OperationRow:
    status = "InProgress" if ended is None else "Succeeded"
    return OperationRow(name, "k", target, target, "start", 0.0, status=status, started=started, ended=ended)  # type: ignore[arg-type]


def test_the_latest_operation_of_a_resource_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skerry.store.operations.REMOVED", 2)
    with store.write() as work:
        for key in ("a", "b", "c"):
            work.resources.save(ResourceRow(key, key, "t", "g", key, b"{}"))
        for row in (
            operation("a-first", "a", 1, 2),
            operation("a-latest", "a", 3, 4),
            operation("b-superseded", "b", 5, 6),
            operation("b-new", "b", 7, DAY + 1),
            operation("c-running", "c", 1, None),
            operation("of-what-is-gone", "gone", 5, 6),
        ):
            work.operations.add(row)
    Housekeeper(store).forget_operations(DAY + 100)
    with store.read() as work:
        assert {row.id for row in work.operations.recent(99)} == {"a-latest", "b-new", "c-running"}
        latest = work.operations.latest("b")
        assert latest is not None
        assert latest.id == "b-new"
