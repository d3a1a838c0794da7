"""Leases: one holder at a time, until it gives up or its time is over."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from skerry.store import Store


@pytest.fixture
def store(database: str | Path) -> Iterator[Store]:
    with closing(Store(database)) as found:
        yield found


def take(store: Store, holder: str, seconds: float = 100) -> bool:
    with store.write() as work:
        return work.leases.take("host", holder, seconds)


def end_in(store: Store, seconds: float) -> None:
    """Let the lease end so many seconds from now."""
    with store.write() as work:
        work.connection.execute(text("UPDATE leases SET until = :until"), {"until": time.time() + seconds})


def test_one_holds_it_and_renews_it(store: Store) -> None:
    assert take(store, "a")
    assert not take(store, "b")
    assert take(store, "a")
    with store.read() as work:
        assert work.leases.holder("host") == "a"


def test_who_releases_it_leaves_it_to_the_next(store: Store) -> None:
    assert take(store, "a")
    with store.write() as work:
        work.leases.release("host", "b")
    assert not take(store, "b")
    with store.write() as work:
        work.leases.release("host", "a")
    assert take(store, "b")


def test_it_ends_with_its_time(store: Store) -> None:
    assert take(store, "a")
    end_in(store, -1)
    assert take(store, "b")


def test_a_clock_set_back_keeps_nobody_out(store: Store) -> None:
    assert take(store, "a")
    end_in(store, 3600)
    assert take(store, "b")
