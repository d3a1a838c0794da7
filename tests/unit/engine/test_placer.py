"""The hosts to choose from are those that the transaction sees, whatever became of the ones before."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from skerry.engine.placer import SETTLE_AFTER, Placer
from skerry.hostspec import HostCapacity, Observed, VmSpec
from skerry.placement import Request
from skerry.store import Store, UnitOfWork
from skerry.store.migrate import prepare

GIB = 1 << 30


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    prepare(tmp_path / "skerry.db")
    found = Store(tmp_path / "skerry.db")
    yield found
    found.close()


def add_host(store: Store, name: str, gib: int = 8, **labels: str) -> None:
    with store.write() as work:
        work.hosts.add(name)
        work.hosts.record(name, Observed(1, HostCapacity(4, gib * GIB, 0, "fake", **labels)))  # type: ignore[arg-type]


def vm(name: str, gib: int = 1) -> VmSpec:
    return VmSpec(name, name, 1, gib * GIB, (), (), ())


def put(placer: Placer, work: UnitOfWork, name: str, gib: int = 1) -> str | None:
    choice = placer.choose(work, Request(1, gib * GIB))
    if choice.host:
        work.hosts.put(choice.host, vm(name, gib))
    return choice.host


def test_a_choice_counts_for_the_next_one_of_its_transaction(store: Store) -> None:
    placer = Placer(store)
    add_host(store, "a")
    add_host(store, "b")
    with store.write() as work:
        assert [put(placer, work, f"v{number}", 4) for number in range(5)] == ["a", "b", "a", "b", None]


def test_what_is_taken_back_does_not_count(store: Store) -> None:
    placer = Placer(store)
    add_host(store, "a")
    with pytest.raises(ZeroDivisionError), store.write() as work:
        assert put(placer, work, "v1", 8) == "a"
        raise ZeroDivisionError
    with store.write() as work:
        with pytest.raises(ZeroDivisionError), work.savepoint():
            assert put(placer, work, "v2", 8) == "a"
            raise ZeroDivisionError
        assert put(placer, work, "v3", 8) == "a"
    with store.write() as work:
        assert put(placer, work, "v4", 8) is None


def test_a_host_that_is_taken_back_is_not_chosen(store: Store) -> None:
    placer = Placer(store)
    with pytest.raises(ZeroDivisionError), store.write() as work:
        work.hosts.add("a")
        work.hosts.record("a", Observed(1, HostCapacity(4, GIB, 0, "fake")))
        assert put(placer, work, "v1") == "a"
        raise ZeroDivisionError
    with store.write() as work:
        assert put(placer, work, "v2") is None


def test_what_others_change_counts(store: Store) -> None:
    mine, theirs = Placer(store), Placer(store)
    add_host(store, "a")
    with store.write() as work:
        assert put(mine, work, "v1", 5) == "a"
    with store.write() as work:
        assert put(theirs, work, "v2", 5) is None
        work.hosts.drop("a", "vm", "v1")
    add_host(store, "b", 16)
    with store.write() as work:
        assert put(mine, work, "v3", 5) == "b"


def test_many_changes_settle(store: Store) -> None:
    placer = Placer(store)
    for number in range(SETTLE_AFTER + 1):
        add_host(store, f"h{number:03}")
    for number in range(SETTLE_AFTER + 1):
        with store.write() as work:
            assert put(placer, work, f"v{number}") == f"h{number:03}"
    with pytest.raises(ZeroDivisionError), store.write() as work:
        assert put(placer, work, "lost", 7) == "h000"
        raise ZeroDivisionError
    with store.write() as work:
        assert put(placer, work, "kept", 7) == "h000"


def test_a_larger_size_has_to_fit_beside_the_others_only(store: Store) -> None:
    placer = Placer(store)
    add_host(store, "a", 8)
    with store.write() as work:
        put(placer, work, "v1", 3)
        put(placer, work, "v2", 2)
        assert placer.fits(work, Request(1, 6 * GIB, host="a"), "v1").host == "a"
        assert placer.fits(work, Request(1, 7 * GIB, host="a"), "v1").host is None
        assert placer.fits(work, Request(1, GIB, host="gone"), "v1").host is None


def at(seconds: float) -> Any:
    """The clock stands so many seconds from now."""
    return mock.patch("time.time", return_value=time.time() + seconds)


def test_a_host_that_fell_silent_is_turned_down_until_it_reports_again(store: Store) -> None:
    placer = Placer(store)
    add_host(store, "a", 32)
    with at(20):
        add_host(store, "b")
        with store.write() as work:
            assert placer.choose(work, Request(1, GIB)).host == "a"
    with at(40), store.write() as work:
        choice = placer.choose(work, Request(1, GIB))
        assert (choice.host, choice.counts) == ("b", {"reports no more": 1})
        assert choice.rejected["a"].startswith("has not reported since 20")
        pinned = placer.choose(work, Request(1, GIB, host="a"))
        assert (pinned.host, pinned.may_come) == (None, True)
        assert placer.choose(work, Request(1, 16 * GIB)).may_come
        assert not placer.choose(work, Request(1, 64 * GIB)).may_come
    with at(45):
        add_host(store, "a", 32)
        with store.write() as work:
            assert placer.choose(work, Request(1, GIB)).host == "a"


def test_reports_from_before_the_clock_was_set_back_are_no_sign_of_life(store: Store) -> None:
    placer = Placer(store)
    with at(3600):
        add_host(store, "a")
    with store.write() as work:
        assert placer.choose(work, Request(1, GIB)).may_come
    add_host(store, "a")
    with at(2), store.write() as work:
        assert placer.choose(work, Request(1, GIB)).host == "a"


def test_labels_are_those_that_the_host_reports(store: Store) -> None:
    placer = Placer(store)
    add_host(store, "a", 32)
    add_host(store, "b", 8, zone="2", architecture="Arm64")
    with store.write() as work:
        assert placer.choose(work, Request(1, GIB, "Arm64", zone="2")).host == "b"
