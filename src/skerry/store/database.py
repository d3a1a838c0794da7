"""The two databases, a SQLite file in WAL mode or PostgreSQL: how to open and begin, and what is an outage."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from skerry.store.sql import Session

WRITER_LOCK = 0x736B6572  # of pg_advisory_xact_lock: who holds it is the installation's one writer
_PASSWORDS = {"password", "sslpassword", "passfile"}
# secure_delete: custom data and password hashes lie in rows until a guest has them; some builds of SQLite do it anyway.
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000", "secure_delete=ON")
_OUTAGES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
}


class StoreUnavailable(Exception):
    """The database can't be reached or written now. Nothing of the transaction was kept, unless its commit failed.

    Going on needs no restart: it works again once the database does.
    """


class BadDatabase(ValueError):
    """A database that can't be used as it is named; the message says why."""


class Database:
    """Where the tables are. `at` is a SQLite file's path or a `postgresql://` URL."""

    def __init__(self, at: str | Path) -> None:
        self.url = _url(at)
        self.dialect = self.url.get_backend_name()
        self.engine = _sqlite(self.url) if self.dialect == "sqlite" else _postgresql(self.url)

    @property
    def is_postgresql(self) -> bool:
        """Whether other control planes may be on it too."""
        return self.dialect == "postgresql"

    def __str__(self) -> str:
        """As it may be shown: without passwords."""
        if not self.is_postgresql:
            return str(self.url.database)
        url = self.url.set(drivername="postgresql")
        return url.difference_update_query(_PASSWORDS).render_as_string(hide_password=True)

    def connect(self) -> Session:
        """A new connection. Raises StoreUnavailable."""
        try:
            return Session(self.engine.connect())
        except DBAPIError as error:
            raise self.unavailable(error) from error

    def wipe(self) -> None:
        """Empty SQLite's log, which has pages as they were before something was deleted; not while others are busy."""
        if self.is_postgresql:
            return
        with self.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=0")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def outage(self, error: BaseException) -> bool:
        """Whether an exception means that the database, not the statement, is at fault."""
        while isinstance(error, DBAPIError) and error.orig is not None:
            error = error.orig
        if isinstance(error, sqlite3.Error):
            return getattr(error, "sqlite_errorcode", 0) & 0xFF in _OUTAGES
        if not self.is_postgresql:
            return False
        import psycopg

        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError)

    def unavailable(self, error: BaseException) -> StoreUnavailable:
        """The exception for an outage; names the database and the driver's words, no password."""
        cause = str(error.orig if isinstance(error, DBAPIError) else error).strip().splitlines()
        said = cause[0] if cause else type(error).__name__
        if self.url.password:
            said = said.replace(str(self.url.password), "***")
        return StoreUnavailable(f"The database {self} can't be used now: {said}")

    def begin_read(self) -> str:
        """Begins a transaction that sees one state and writes nothing."""
        return "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY" if self.is_postgresql else "BEGIN"

    def begin_write(self) -> str:
        """Begins the transaction of the one writer; waits until the one before has ended."""
        # SQLite: a transaction that starts as a reader and turns writer can fail at that turn; so writers say so first.
        # PostgreSQL: READ COMMITTED, as a snapshot taken before the lock is had would miss the last writer's commit.
        return (
            f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({WRITER_LOCK})"
            if self.is_postgresql
            else "BEGIN IMMEDIATE"
        )

    def close(self) -> None:
        """Forget the engine. Connections are their sessions' to close."""
        self.engine.dispose()


def is_url(at: str | Path) -> bool:
    """Whether `at` names a PostgreSQL database and no file."""
    return isinstance(at, str) and "://" in at


def _url(at: str | Path) -> URL:
    if not is_url(at):
        return URL.create("sqlite", database=str(at))
    try:
        url = make_url(str(at))
        url.port  # noqa: B018  (a wrong one raises)
    except (ArgumentError, ValueError):
        raise BadDatabase(
            "The database's URL can't be read: it looks like postgresql://USER:PASSWORD@HOST/NAME."
        ) from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise BadDatabase(f"'{url.get_backend_name()}' is no database that Skerry knows: give a postgresql:// URL.")
    if not url.database:
        raise BadDatabase("The URL names no database: it looks like postgresql://USER:PASSWORD@HOST/NAME.")
    return url.set(drivername="postgresql+psycopg")


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"check_same_thread": False},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: Any) -> None:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _postgresql(url: URL) -> Engine:
    # A control plane that hangs or has lost its network must not hold the writer's lock for good.
    limits = {"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 3}
    given = {name: value for name, value in limits.items() if name not in url.query}
    engine = create_engine(
        url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=given, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.autocommit = True
        connection.execute(
            "SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '30s'; SET timezone = 'UTC'; "
            "SET client_min_messages = warning; SET application_name = 'skerry'"
        )

    return engine
