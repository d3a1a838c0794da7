"""The database of one installation: snapshots for readers, one writer at a time, every commit durable."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, text

from skerry.store.activity import Activity
from skerry.store.database import Database, StoreUnavailable
from skerry.store.hosts import Hosts, LastReports
from skerry.store.leases import Leases
from skerry.store.operations import Operations, Origin
from skerry.store.resources import Resources
from skerry.store.sessions import READERS, Readers, Writers
from skerry.store.sql import Session, Statement
from skerry.store.watch import Watch

T = TypeVar("T")

_ABOUT = Statement(
    text(
        "SELECT (SELECT version_num FROM alembic_version), "
        "(SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size())"
    ),
    postgresql=text("SELECT (SELECT version_num FROM alembic_version), pg_database_size(current_database())"),
)


class UnitOfWork:
    """One transaction: what it reads is one consistent state, and all it writes is there or nothing is."""

    def __init__(self, session: Session, reports: LastReports) -> None:
        self.session = session
        self.resources = Resources(session)
        self.operations = Operations(session)
        self.hosts = Hosts(session, reports)
        self.activity = Activity(session)
        self.leases = Leases(session)
        self.after_commit: list[Callable[[], None]] = []

    @property
    def connection(self) -> Connection:
        """SQLAlchemy's connection of this transaction, for what is rare. It must not end it."""
        return self.session.connection

    @property
    def lost(self) -> bool:
        """Whether the database has given the transaction up. What writes on would be on its own."""
        return self.session.lost

    def savepoint(self) -> AbstractContextManager[None]:
        """What the block wrote is taken back when it raises; the rest of the transaction stays."""
        return self.session.savepoint()

    def about(self) -> dict[str, str | int]:
        """Which database it is: its kind, the schema's revision, and its size in bytes."""
        schema, size = self.session.rows(_ABOUT)[0]
        return {"kind": self.session.dialect, "schema": str(schema), "bytes": int(size)}

    @property
    def origin(self) -> Origin:
        """On whose behalf this transaction acts; new operations remember it."""
        return self.operations.origin

    @origin.setter
    def origin(self, origin: Origin) -> None:
        self.operations.origin = origin


class Store:
    """Hands out units of work on a SQLite file or a `postgresql://` database.

    `on_spec_change` is called after each commit that changed a host's spec, `on_operation_change` after each that
    added or woke an operation.
    """

    def __init__(self, database: str | Path, readers: int = READERS) -> None:
        """`readers`: how many connections read at once, at most."""
        self._database = Database(database)
        self._me = uuid.uuid4().hex
        self._readers, self._writers = Readers(self._database, readers), Writers(self._database, self._me)
        self._glances = Readers(self._database, 1)
        self._reports = LastReports()
        self.on_spec_change: Callable[[], None] = lambda: None
        self.on_operation_change: Callable[[], None] = lambda: None
        self._watch: Watch | None = None

    @property
    def shared(self) -> bool:
        """Whether other control planes may be on this database, too."""
        return self._database.is_postgresql

    def watch(self) -> None:
        """From now on also call back, as it is set now, for what other control planes change."""
        if self.shared:
            self._watch = Watch(self._database, self._me, self.on_spec_change, self.on_operation_change)

    @contextmanager
    def read(self) -> Iterator[UnitOfWork]:
        """A unit of work that only reads. Raises StoreUnavailable."""
        with self._readers.transaction() as session:
            yield UnitOfWork(session, self._reports)

    def open(self) -> None:
        """Open the connections that reads of rows by key take, if the database is there: the first one takes long."""
        with suppress(StoreUnavailable):
            (self._glances if self.glances else self._readers).fill()

    @property
    def glances(self) -> bool:
        """Whether `glance` never waits: SQLite's readers wait for no writer, and no network is between."""
        return not self._database.is_postgresql

    @contextmanager
    def glance(self) -> Iterator[UnitOfWork]:
        """Like `read`, for a few rows by key, on a connection that is kept for this: it waits for no other's."""
        with self._glances.transaction() as session:
            yield UnitOfWork(session, self._reports)

    @contextmanager
    def write(self) -> Iterator[UnitOfWork]:
        """A unit of work that writes; durable at its end, and rolled back if the block raises.

        Several may share a commit: an exception takes back what its own block wrote only. Raises StoreUnavailable.
        """
        notices: list[str] = []
        with self._writers.transaction(notices) as session:
            work = UnitOfWork(session, self._reports)
            yield work
            notices += _notices([work])
        self._tell([work])

    def write_all(self, blocks: Sequence[Callable[[UnitOfWork], T]]) -> Sequence[T | Exception]:
        """Run blocks one after the other, each a unit of work of its own, with one commit: what each returns or raises.

        Raises what any block raises when the database is at fault; nothing of them all is kept then.
        """
        notices: list[str] = []
        kept: list[UnitOfWork] = []
        with self._writers.transaction(notices) as session:
            found = [self._write_one(session, block, kept) for block in blocks]
            notices += _notices(kept)
        self._tell(kept)
        return found

    def _write_one(self, session: Session, block: Callable[[UnitOfWork], T], kept: list[UnitOfWork]) -> T | Exception:
        try:
            with session.savepoint():
                work = UnitOfWork(session, self._reports)
                found = block(work)
            kept.append(work)
            return found
        except Exception as error:
            if session.lost or self.outage(error):
                raise
            return error

    def _tell(self, works: Sequence[UnitOfWork]) -> None:
        """Call back for what was committed."""
        for work in works:
            for callback in work.after_commit:
                callback()
        changed = _notices(works)
        if "spec" in changed:
            self.on_spec_change()
        if "operation" in changed:
            self.on_operation_change()

    def outage(self, error: BaseException) -> bool:
        """Whether an exception inside a unit of work means that the database is at fault: full, read-only, away."""
        return isinstance(error, StoreUnavailable) or self._database.outage(error)

    def wipe(self) -> None:
        """Let nothing be read in the database's files that was deleted. Best done now and then."""
        self._database.wipe()

    @property
    def waiting(self) -> int:
        """How many writers queue now."""
        return self._writers.waiting

    @property
    def commits(self) -> int:
        """How many commits this process has made."""
        return self._writers.commits

    @property
    def written(self) -> int:
        """How many transactions they had."""
        return self._writers.transactions

    def close(self) -> None:
        """Close all connections."""
        if self._watch is not None:
            self._watch.stop()
        self._writers.close()
        self._readers.close()
        self._glances.close()
        self._database.close()


def _notices(works: Sequence[UnitOfWork]) -> list[str]:
    """What these have changed that somebody waits for."""
    spec = ["spec"] if any(work.hosts.changed for work in works) else []
    return [*spec, "operation"] if any(work.operations.changed for work in works) else spec
