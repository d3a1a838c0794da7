"""The database: one SQLite file in WAL mode, one transaction at a time that writes, every commit durable."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from skerry.store.hosts import Hosts
from skerry.store.operations import Operations, Origin
from skerry.store.resources import Resources


class UnitOfWork:
    """One transaction: what it reads is one consistent state, and all it writes is there or nothing is."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.resources = Resources(connection)
        self.operations = Operations(connection)
        self.hosts = Hosts(connection)
        self.after_commit: list[Callable[[], None]] = []

    @property
    def origin(self) -> Origin:
        """On whose behalf this transaction acts; new operations remember it."""
        return self.operations.origin

    @origin.setter
    def origin(self, origin: Origin) -> None:
        self.operations.origin = origin


class Store:
    """Hands out units of work.

    `on_spec_change` is called after each commit that changed a host's spec, `on_operation_change` after each that
    added or woke an operation.
    """

    def __init__(self, path: Path) -> None:
        self._engine = _open(path)
        self._writer = threading.Lock()
        self._glancer: Connection | None = None
        self._glancing = threading.Lock()
        self.on_spec_change: Callable[[], None] = lambda: None
        self.on_operation_change: Callable[[], None] = lambda: None

    @contextmanager
    def read(self) -> Iterator[UnitOfWork]:
        """A unit of work that only reads."""
        with self._engine.begin() as connection:
            yield UnitOfWork(connection)

    @property
    def glances(self) -> bool:
        """Whether `glance` never waits: SQLite's readers wait for no writer, and no network is between."""
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def glance(self) -> Iterator[UnitOfWork]:
        """Like `read`, for a few rows by key, on a connection that is kept for this: it waits for no other's."""
        with self._glancing:
            connection = self._glancer = self._glancer or self._engine.connect()
            with connection.begin():
                yield UnitOfWork(connection)

    @contextmanager
    def write(self) -> Iterator[UnitOfWork]:
        """A unit of work that writes; commits at its end, and rolls back if the block raises."""
        with self._writer, self._engine.execution_options(skerry_writes=True).begin() as connection:
            work = UnitOfWork(connection)
            yield work
        for callback in work.after_commit:
            callback()
        if work.hosts.changed:
            self.on_spec_change()
        if work.operations.changed:
            self.on_operation_change()

    def close(self) -> None:
        """Close all connections."""
        with self._glancing:
            if self._glancer is not None:
                self._glancer.close()
        self._engine.dispose()


def _open(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", pool_size=8, max_overflow=8)

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: Any) -> None:
        # SQLAlchemy begins transactions itself, below: sqlite3 would begin them too late, at the first write.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that starts as a reader and turns writer can fail at that turn; so writers say so first.
        writes = connection.get_execution_options().get("skerry_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
