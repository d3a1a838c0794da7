"""Transactions on pooled connections: many that read, and one at a time that writes, whose commit several share."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from skerry.store.database import Database, StoreUnavailable
from skerry.store.sql import Session

READERS = 16
READER_SECONDS = 10.0  # how long a reader waits for a connection
CHANNEL = "skerry"  # of NOTIFY
BATCH = 64  # transactions that share one commit at most


class Pool:
    """Idle connections, the one used last first."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._idle: deque[Session] = deque()
        self._closed = False

    def begin(self, sql: str, *, later: bool = False) -> Session:
        """A session in a new transaction, begun `later`: with its first statement. Raises StoreUnavailable.

        A connection that the server has ended meanwhile shows here: nothing was done on it yet, so another takes its
        place. This needs no round trip of its own to find out.
        """
        while True:
            session = self._taken()
            fresh = session is None
            session = session or self.database.connect()
            try:
                (session.later if later else session.control)(sql)
                return session
            except BaseException as error:
                closed = session.closed
                _close(session)
                if not self.database.outage(error):
                    raise
                if fresh or not closed:
                    raise self.database.unavailable(error) from error

    def _taken(self) -> Session | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def end(self, session: Session, sql: str) -> None:
        """End its transaction and keep the connection for the next; close it if that fails."""
        self._keep(session, lambda: session.end(sql))

    def leave(self, session: Session) -> None:
        """As `end`, for one that has only read."""
        self._keep(session, session.leave)

    def _keep(self, session: Session, end: Callable[[], None]) -> None:
        try:
            end()
        except BaseException:
            _close(session)
            raise
        self.keep(session)

    def keep(self, session: Session) -> None:
        """Keep a connection that is in no transaction for the next."""
        self._idle.append(session)
        if self._closed:
            self.close()

    def close(self) -> None:
        """Close what is idle now, and the rest once it comes back."""
        self._closed = True
        while session := self._taken():
            _close(session)


def _close(session: Session) -> None:
    with suppress(Exception):
        session.close()


class Readers:
    """Transactions that see one state and write nothing, a bounded number at once."""

    def __init__(self, database: Database, limit: int) -> None:
        self._database, self._pool = database, Pool(database)
        self._limit, self._room = limit, threading.BoundedSemaphore(limit)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A snapshot. Raises StoreUnavailable when there is no connection."""
        if not self._room.acquire(timeout=READER_SECONDS):
            raise StoreUnavailable("Too much is being read at once: no connection to the database became free.")
        try:
            session = self._pool.begin(self._database.begin_read(), later=True)
            try:
                yield session
                session.settle()
            except BaseException as error:
                with suppress(Exception):
                    self._pool.end(session, "ROLLBACK")
                if self._database.outage(error):
                    raise self._database.unavailable(error) from error
                raise
            with suppress(Exception):  # all was read: how it ends is of no interest any more
                self._pool.leave(session)
        finally:
            self._room.release()

    def fill(self) -> None:
        """Open all connections, so that nobody who reads waits for one. Raises StoreUnavailable."""
        for _ in range(self._limit):
            self._pool.keep(self._database.connect())

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Batch:
    """One database transaction that several writers share."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.members = 0
        self.notices: dict[str, None] = {}
        self.ended = threading.Event()
        self.failure: BaseException | None = None


class Writers:
    """One writer at a time. Those that queued while it wrote go on in its transaction, each in a savepoint.

        take turn ─▶ write ─▶ others wait? ─yes─▶ leave the transaction to the next, await its end
                                  └─no, or enough─▶ COMMIT, wake the members

    A commit costs a write to the disk whatever is in it, so that under load one is shared by many. A member returns
    after the commit, and raises when that fails; one that raises takes back its own part only.
    """

    def __init__(self, database: Database, me: str) -> None:
        self._database, self._pool, self._me = database, Pool(database), me
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self.waiting = 0  # how many queue for their turn
        self._batch: _Batch | None = None
        self.commits = self.transactions = 0  # that were durable

    @contextmanager
    def transaction(self, notices: list[str]) -> Iterator[Session]:
        """Write; returns once it is durable. `notices`: what other control planes are told with the commit.

        Raises StoreUnavailable when the transaction can't begin or commit.
        """
        self._enter()
        try:
            batch = self._open()
            try:
                with self._reported(), batch.session.savepoint():
                    yield batch.session
                batch.notices.update(dict.fromkeys(notices))
            finally:
                self._leave(batch)
        finally:
            self._turn.release()
        batch.ended.wait()
        if batch.failure is not None:
            raise self._uncertain(batch.failure) from batch.failure

    def _enter(self) -> None:
        with self._counting:
            self.waiting += 1
        try:
            self._turn.acquire()
        finally:
            with self._counting:
                self.waiting -= 1

    def _open(self) -> _Batch:
        if self._batch is None:
            self._batch = _Batch(self._pool.begin(self._database.begin_write()))
        self._batch.members += 1
        return self._batch

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if self._database.outage(error):
                raise self._database.unavailable(error) from error
            raise

    def _leave(self, batch: _Batch) -> None:
        """Hand the transaction on to the next in the queue, or end it."""
        if not batch.session.lost and self.waiting and batch.members < BATCH:
            return
        self._batch = None
        try:
            if batch.session.lost:
                raise StoreUnavailable(f"The database {self._database} gave up the transaction.")
            self._pool.end(batch.session, self._commit(batch))
            self.commits, self.transactions = self.commits + 1, self.transactions + batch.members
        except BaseException as error:
            _close(batch.session)
            batch.failure = error
        finally:
            batch.ended.set()

    def _uncertain(self, failure: BaseException) -> BaseException:
        if isinstance(failure, StoreUnavailable):
            return failure
        return self._database.unavailable(failure) if self._database.outage(failure) else failure

    def _commit(self, batch: _Batch) -> str:
        if not (self._database.is_postgresql and batch.notices):
            return "COMMIT"
        return f"NOTIFY {CHANNEL}, '{' '.join([self._me, *batch.notices])}'; COMMIT"

    def close(self) -> None:
        """Close the connections once the writer that is at it has ended."""
        with self._turn:
            self._pool.close()
