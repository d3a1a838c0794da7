"""PostgreSQL: one writer over all control planes, changes of others heard, a server that goes and comes back."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count as count_up
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from tests.postgresql import Server, server

from skerry.hostspec import DiskSpec
from skerry.store import BadDatabase, OperationRow, ResourceRow, Store, StoreUnavailable
from skerry.store.archive import Archive
from skerry.store.database import Database
from skerry.store.migrate import HEAD, NewerState, OtherInstallation, prepare, upgrade, writing
from skerry.store.sql import Statement


@pytest.fixture
def url(postgresql: Server) -> Iterator[str]:
    found = postgresql.prepared()
    yield found
    postgresql.drop(found)


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server to stop and start."""
    with server() as found:
        yield found


def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds; the test's own time limit ends what never does."""
    while not condition():
        time.sleep(0.005)


def count(store: Store, key: str = "a") -> int:
    with store.write() as work:
        row = work.resources.get(key) or ResourceRow(key, key, "t", "g", key, b"{}")
        row.private["count"] = row.private.get("count", 0) + 1
        work.resources.save(row)
        return int(row.private["count"])


def test_no_write_of_two_control_planes_is_lost(url: str) -> None:
    with closing(Store(url)) as one, closing(Store(url)) as other, ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(count, [one, other] * 100))
    assert sorted(seen) == list(range(1, 201))


def test_a_reader_keeps_its_state_while_others_write(url: str) -> None:
    with closing(Store(url)) as store:
        count(store)
        with store.read() as work:
            before = work.resources.get("a")
            count(store)
            assert work.resources.get("a") == before


def test_a_reader_cannot_write(url: str) -> None:
    with closing(Store(url)) as store, pytest.raises(Exception, match="read-only"), store.read() as work:
        work.resources.save(ResourceRow("a", "a", "t", "g", "a", b"{}"))


def test_the_others_hear_of_changes(url: str) -> None:
    heard: list[str] = []
    with closing(Store(url)) as one, closing(Store(url)) as other:
        with one.write() as work:
            work.hosts.add("local")
        other.on_spec_change = lambda: heard.append("spec")
        other.on_operation_change = lambda: heard.append("operation")
        other.watch()
        until(lambda: "operation" in heard)  # the first look
        heard.clear()
        with one.write() as work:
            work.hosts.put("local", DiskSpec("d", 1))
        until(lambda: "spec" in heard)
        heard.clear()
        with one.write() as work:
            work.operations.add(OperationRow("o", "k", "a", "A", "start", deadline=1e12))
        until(lambda: "operation" in heard)


def test_a_change_that_nobody_told_of_is_found(url: str) -> None:
    heard: list[str] = []
    with closing(Store(url)) as one:
        with one.write() as work:
            work.hosts.add("local")
        one.on_spec_change = lambda: heard.append("spec")
        one.watch()
        until(lambda: heard == ["spec"])
        with writing(Database(url)) as session:
            session.connection.execute(text("UPDATE hosts SET revision = revision + 1"))
        until(lambda: heard == ["spec", "spec"])


def test_a_writer_whose_connection_is_cut_keeps_nothing_and_holds_up_nobody(url: str) -> None:
    with closing(Store(url)) as one, closing(Store(url)) as other:
        with pytest.raises(StoreUnavailable), one.write() as work:
            work.resources.save(ResourceRow("b", "b", "t", "g", "b", b"{}"))
            pid = work.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with other.read() as reader:
                reader.connection.execute(text(f"SELECT pg_terminate_backend({pid})"))
            until(lambda: not_there(other, pid))
            work.resources.get("b")
        assert count(other, "b") == 1
        assert count(one, "b") == 2


def not_there(store: Store, pid: int) -> bool:
    with store.read() as work:
        query = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
        return bool(work.connection.execute(query, {"pid": pid}).scalar_one() == 0)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_it_goes_on_when_the_server_is_back(own: Server, how: signal.Signals) -> None:
    heard: list[str] = []
    with closing(Store(own.prepared())) as store:
        store.on_operation_change = lambda: heard.append("operation")
        store.watch()
        for expected in (1, 2, 3):
            assert count(store) == expected
        own.stop(how)
        with pytest.raises(StoreUnavailable), store.read():
            pass
        with pytest.raises(StoreUnavailable), store.write():
            pass
        own.start()
        heard.clear()
        assert count(store) == 4
        with store.read() as work:
            assert work.resources.count("t") == 1
        until(lambda: bool(heard))  # the watch has a new connection, too


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_whoever_reads_notices_no_restart(own: Server, how: signal.Signals) -> None:
    with closing(Store(own.prepared())) as store:
        count(store)
        for _ in range(2):
            with store.read() as work:
                assert work.resources.count("t") == 1
            own.stop(how)
            own.start()


def test_a_read_holds_no_transaction_open(postgresql: Server) -> None:
    url = postgresql.prepared()
    with closing(Store(url)) as store:
        for _ in range(3):
            with store.read() as work:
                work.resources.count("t")
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
        with psycopg.connect(url) as connection:
            until(lambda: connection.execute(query).fetchone() == (1,))  # this one's own
    postgresql.drop(url)


def test_connections_for_reads_are_there_before_they_are_asked_for(postgresql: Server) -> None:
    url = postgresql.prepared()
    query = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    with closing(Store(url, readers=3)) as store:
        store.open()
        with store.read() as work:
            assert work.connection.execute(query).scalar() == 3
    postgresql.drop(url)


def test_others_compute_while_one_waits_for_the_server(url: str) -> None:
    turns, stop = count_up(0), threading.Event()

    def compute() -> None:
        while not stop.is_set():
            next(turns)

    with closing(Store(url)) as store, store.write() as work, ThreadPoolExecutor(1) as pool:
        pool.submit(compute)
        before = next(turns)
        work.session.run(Statement(text("SELECT pg_sleep(0.5)")), {})
        work.session.settle()
        after = next(turns)
        stop.set()
    assert after - before > 1000


def test_a_server_that_ends_during_a_transaction_keeps_nothing_of_it(own: Server) -> None:
    with closing(Store(own.prepared())) as store:
        count(store)
        with pytest.raises(StoreUnavailable), store.write() as work:
            work.resources.save(ResourceRow("b", "b", "t", "g", "b", b"{}"))
            own.stop(signal.SIGQUIT)
        own.start()
        with store.read() as work:
            assert [row.key for row in work.resources.list()] == ["a"]


def test_two_that_start_at_once_make_one_schema(postgresql: Server) -> None:
    url = postgresql.create()
    ready = threading.Barrier(2)

    def start(_number: int) -> None:
        ready.wait()
        prepare(url, "sub")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(start, range(2)))
    with closing(Store(url)) as store:
        assert count(store) == 1
    postgresql.drop(url)


def test_a_database_is_one_installations_alone(database: str | Path) -> None:
    prepare(database, "mine")
    prepare(database, "mine")
    with pytest.raises(OtherInstallation, match="copy STATE/keys"):
        prepare(database, "theirs")


def test_a_newer_schema_is_refused(url: str) -> None:
    with writing(Database(url)) as session:
        session.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerState, match=HEAD):
        prepare(url)


def test_an_older_schema_is_copied_then_migrated(postgresql: Server, tmp_path: Path) -> None:
    url = postgresql.create()
    with writing(Database(url)) as session:
        upgrade(session.connection, "0001")
        session.connection.execute(text("INSERT INTO hosts VALUES ('local', 1, 0, NULL, 0)"))
    prepare(url, "sub", tmp_path)
    with closing(Store(url)) as store, store.read() as work:
        assert work.hosts.names() == ["local"]
    with Archive.open(tmp_path / f"database.before-{HEAD}.tar.gz") as copy:
        assert (copy.manifest.schema, copy.manifest.rows["hosts"]) == ("0001", 1)
    postgresql.drop(url)


def test_a_password_is_never_shown() -> None:
    database = Database("postgresql://me:Plant3d@/none?host=/nonexistent&sslpassword=Plant3d")
    assert "Plant3d" not in str(database)
    with pytest.raises(StoreUnavailable) as raised:
        database.connect()
    assert "Plant3d" not in str(raised.value)
    with pytest.raises(BadDatabase) as bad:
        Database("postgresql://me:Plant3d@host:port/x")
    assert "Plant3d" not in str(bad.value)
