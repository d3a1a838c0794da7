"""Shared commits: writers that queue go into one transaction, each alone in what it takes back."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from skerry.store import ResourceRow, Store, StoreUnavailable, UnitOfWork
from skerry.store.sql import Session, Statement

COUNT = Statement(text("SELECT count(*) FROM resources"))


@pytest.fixture
def store(database: str | Path) -> Iterator[Store]:
    found = Store(database)
    yield found
    found.close()


def row(key: str) -> ResourceRow:
    return ResourceRow(key, key.upper(), "t", "g", key, b"{}")


def keys(store: Store) -> list[str]:
    with store.read() as work:
        return [row.key for row in work.resources.list()]


class Broken(Exception):
    pass


class Queue:
    """Writers that queue behind one that ends only when all of them do. `seen`: what each saw after its commit."""

    def __init__(self, store: Store) -> None:
        self.store, self.seen = store, dict[str, object]()
        self._threads: list[threading.Thread] = []

    def add(self, name: str, error: type[Exception] | None = None) -> None:
        """A writer that saves a row, and raises `error` then."""
        self._threads.append(threading.Thread(target=self._run, args=(name, error)))

    def _run(self, name: str, error: type[Exception] | None) -> None:
        try:
            with self.store.write() as work:
                self._block(name, error, work)
            self.seen[name] = keys(self.store)
        except (Broken, StoreUnavailable) as raised:
            self.seen[name] = type(raised)

    def _block(self, name: str, error: type[Exception] | None, work: UnitOfWork) -> None:
        work.resources.save(row(name))
        if self._threads[0] is threading.current_thread():
            for number, thread in enumerate(self._threads[1:], start=1):
                thread.start()
                while self.store.waiting < number:
                    time.sleep(0.001)
        if error is not None:
            raise error

    def run(self) -> None:
        """Run the first while the others queue, then them."""
        self._threads[0].start()
        for thread in self._threads:
            while not thread.ident:
                time.sleep(0.001)
            thread.join(30)


def test_who_queues_shares_the_commit_and_returns_after_it(store: Store) -> None:
    queue = Queue(store)
    for name in "abc":
        queue.add(name)
    queue.run()
    assert queue.seen == {name: ["a", "b", "c"] for name in "abc"}


@pytest.mark.parametrize("broken", ["a", "b", "c"])
def test_a_member_that_raises_takes_back_its_own_part_only(store: Store, broken: str) -> None:
    queue = Queue(store)
    for name in "abc":
        queue.add(name, Broken if name == broken else None)
    queue.run()
    left = sorted({"a", "b", "c"} - {broken})
    assert queue.seen == {**dict.fromkeys(left, left), broken: Broken}
    assert keys(store) == left


def test_a_commit_that_fails_raises_in_every_member(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Session.end

    def end(session: Session, sql: str) -> None:
        if sql == "COMMIT" and session.first(COUNT) == (3,):
            monkeypatch.undo()
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        original(session, sql)

    monkeypatch.setattr(Session, "end", end)
    queue = Queue(store)
    for name in "abc":
        queue.add(name)
    queue.run()
    assert set(queue.seen.values()) == {StoreUnavailable}
    assert keys(store) == []
    with store.write() as work:
        work.resources.save(row("d"))
    assert keys(store) == ["d"]


def test_as_many_queues_as_there_are_none_waits_for_ever(store: Store) -> None:
    def write(name: str) -> None:
        with store.write() as work:
            work.resources.save(row(name))

    names = [f"{number:03}" for number in range(200)]
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(write, names))
    assert keys(store) == names


def test_a_savepoint_takes_back_its_block_and_what_is_in_it(store: Store) -> None:
    with store.write() as work:
        work.resources.save(row("a"))
        with pytest.raises(Broken), work.savepoint():
            work.resources.save(row("b"))
            with work.savepoint():
                work.resources.save(row("c"))
            raise Broken
        with pytest.raises(Broken), work.savepoint():
            raise Broken
        with work.savepoint():
            work.resources.save(row("d"))
    assert keys(store) == ["a", "d"]


def test_a_row_read_again_is_what_the_transaction_has_made_of_it(store: Store) -> None:
    with store.write() as work:
        work.resources.save(row("a"))
    with store.write() as work:
        found = work.resources.get("a")
        assert found is not None
        found.body, found.private = b'{"n":1}', {"n": [1]}
        assert work.resources.get("a") == row_of(work, "a")
        assert row_of(work, "a").body == b"{}"  # not saved yet
        work.resources.save(found)
        assert row_of(work, "a") == work.resources.list()[0] == found
        with pytest.raises(Broken), work.savepoint():
            found.body = b'{"n":2}'
            work.resources.save(found)
            work.resources.delete("a")
            assert (work.resources.get("a"), work.resources.get_many(["a", "b"])) == (None, {})
            raise Broken
        assert row_of(work, "a").body == b'{"n":1}'
        work.resources.delete("a")
        work.resources.save(found)
        assert work.resources.list() == [found]


def row_of(work: UnitOfWork, key: str) -> ResourceRow:
    return work.resources.get_many([key])[key]


def test_blocks_of_one_commit_take_back_their_own_only(store: Store) -> None:
    def block(name: str, error: Exception | None, work: UnitOfWork) -> str:
        work.resources.save(row(name))
        work.after_commit.append(lambda: told.append(name))
        if error is not None:
            raise error
        return name

    told, broken = list[str](), Broken()
    errors = {"a": None, "b": broken, "c": None}
    found = store.write_all([partial(block, name, error) for name, error in errors.items()])
    assert found == ["a", broken, "c"]
    assert keys(store) == told == ["a", "c"]
    assert store.commits == 1


def test_blocks_all_fail_when_the_database_does(store: Store) -> None:
    def unplug(work: UnitOfWork) -> None:
        raise StoreUnavailable("It is away.")

    with pytest.raises(StoreUnavailable):
        store.write_all([lambda work: work.resources.save(row("a")), unplug])
    assert keys(store) == []
