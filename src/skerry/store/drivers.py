"""How a session talks to its database: sqlite3's cursor, or libpq's calls.

psycopg's cursor takes some thirty microseconds of CPU for a statement, three times what libpq does: with a hundred
statements for one virtual machine that decides how many can be made. So statements are prepared once for each
connection and run with `psycopg.pq`; psycopg connects, and turns results into Python's types. What writes goes to the
server with the next statement that reads, in one round trip (libpq's pipeline mode).
"""

import select
import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.pq.abc import PGresult

    from skerry.store.sql import Form, Statement

Row = tuple[Any, ...]
Values = Mapping[str, Any]


PENDING = 100  # statements whose results nobody has looked at, at most


class Driver(Protocol):
    """One connection. `count`: how many rows the last statement that ran wrote."""

    count: int

    def run(self, statement: "Statement", values: Values) -> list[Row]:
        """Run a statement; its rows."""

    def write(self, statement: "Statement", rows: Sequence[Values]) -> None:
        """Run a statement that gives no rows, once for each of `rows`. What fails may show at `settle` only."""

    def settle(self) -> None:
        """All that was written before is done, or this raises."""

    def later(self, commands: Sequence[str]) -> None:
        """SAVEPOINT, RELEASE, BEGIN: as `control`; what fails may show at `settle` only."""

    def leave(self, sql: str) -> None:
        """As `control`, of what may fail and nobody waits for: the end of a transaction that only read."""

    def control(self, sql: str) -> None:
        """BEGIN, COMMIT and their like: text without parameters, on PostgreSQL several in one round trip."""

    def array(self, values: list[str]) -> Any:
        """A list as a parameter: of `json_each` in SQLite, of `ANY` in PostgreSQL."""

    def close(self) -> None:
        """Let go of the transaction, whatever state it is in, before the connection is closed."""

    @property
    def closed(self) -> bool:
        """Whether the server has ended the connection."""

    @property
    def lost(self) -> bool:
        """Whether the database has given up the transaction: a COMMIT would keep nothing of it."""


class SqliteDriver:
    """sqlite3 with transactions begun by hand."""

    closed = False

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw, self._cursor = raw, raw.cursor()
        self.count = 0

    def run(self, statement: "Statement", values: Values) -> list[Row]:
        """Run a statement; its rows."""
        form = statement.on("sqlite")
        self._cursor.execute(form.text, {**form.fixed, **values} if form.fixed else values)
        found: list[Row] = self._cursor.fetchall()
        self.count = self._cursor.rowcount
        return found

    def write(self, statement: "Statement", rows: Sequence[Values]) -> None:
        """Run a statement that gives no rows, once for each of `rows`."""
        form = statement.on("sqlite")
        self._cursor.executemany(form.text, [{**form.fixed, **row} for row in rows] if form.fixed else rows)

    def settle(self) -> None:
        """Nothing is put off."""

    def later(self, commands: Sequence[str]) -> None:
        """At once."""
        for command in commands:
            self._cursor.execute(command)

    def leave(self, sql: str) -> None:
        """At once."""
        self._cursor.execute(sql)

    def control(self, sql: str) -> None:
        """BEGIN, COMMIT and their like; several with `;` between."""
        for part in sql.split("; "):
            self._cursor.execute(part)

    def array(self, values: list[str]) -> Any:
        """JSON, for `json_each`."""
        import orjson

        return orjson.dumps(values).decode()

    def close(self) -> None:
        """Roll back: SQLite closes a connection, and lets others write, only when nobody has a statement any more."""
        if self._raw.in_transaction:
            self._raw.rollback()
        self._cursor.close()

    @property
    def lost(self) -> bool:
        """Whether SQLite has rolled back by itself, as it does when the disk is full."""
        return not self._raw.in_transaction


class PostgresqlDriver:
    """libpq's synchronous calls on a connection of psycopg's in autocommit mode, with transactions begun by hand."""

    def __init__(self, raw: "Connection[Any]") -> None:
        from psycopg import pq
        from psycopg.adapt import Transformer

        self._raw, self._libpq = raw, raw.pgconn
        self._transformer = Transformer(raw)
        self._prepared: set[bytes] = set()
        self._good = {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}
        self._synced = pq.ExecStatus.PIPELINE_SYNC
        self._bad = pq.ConnStatus.BAD
        self._in_transaction = pq.TransactionStatus.INTRANS
        self._pending = 0  # statements sent whose results are still to be read
        self._left = self._gone = False
        self._readable = select.poll()
        self._readable.register(self._libpq.socket, select.POLLIN)
        self.count = 0

    def run(self, statement: "Statement", values: Values) -> list[Row]:
        """Run a statement; its rows."""
        form = self._ready(statement)
        encoded, formats = _parameters(form, values)
        if self._pending:
            self._libpq.send_query_prepared(form.label, encoded, formats, 1)
            result = self._settled()
            self._check(result)
        else:
            result = self._libpq.exec_prepared(form.label, encoded, formats, 1)
            self._check(result)
        self.count = result.command_tuples or 0
        if not result.ntuples:
            return []
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def _ready(self, statement: "Statement") -> "Form":
        form = statement.on("postgresql")
        if form.label not in self._prepared:
            self.settle()
            self._check(self._libpq.prepare(form.label, form.text.encode()))
            self._prepared.add(form.label)
        return form

    def write(self, statement: "Statement", rows: Sequence[Values]) -> None:
        """Run a statement that gives no rows, once for each of `rows`. What fails may show at `settle` only."""
        form = self._ready(statement)
        for row in rows:
            encoded, formats = _parameters(form, row)
            self._put_off()
            self._libpq.send_query_prepared(form.label, encoded, formats, 1)

    def later(self, commands: Sequence[str]) -> None:
        """SAVEPOINT, RELEASE, BEGIN; what fails may show at `settle` only."""
        for command in commands:
            self._put_off()
            self._libpq.send_query_params(command.encode(), None)

    def leave(self, sql: str) -> None:
        """Send it; the result is read when the connection is used again."""
        self.later([sql])
        self._libpq.pipeline_sync()
        self._left = True

    def _return(self) -> None:
        """Read what `leave` left. Raises when the server has gone meanwhile."""
        if self._left:
            self._left, self._pending = False, 0
            self._check(self._results())
            if self._readable.poll(0):  # nothing was asked: it is a farewell
                from psycopg import OperationalError

                self._gone = True
                raise OperationalError("the server has ended the connection")

    def _put_off(self) -> None:
        self._return()
        if self._pending == PENDING:
            self.settle()
        if not self._pending:
            self._libpq.enter_pipeline_mode()
        self._pending += 1

    def settle(self) -> None:
        """All that was written before is done, or this raises."""
        if self._pending:
            self._check(self._settled())

    def _settled(self) -> "PGresult":
        """Read the results of all that was sent: the first that failed, else the last one."""
        self._pending = 0
        self._libpq.pipeline_sync()
        return self._results()

    def _results(self) -> "PGresult":
        found: list[PGresult] = []
        ends = 0  # a None ends each statement's results; two, all that there will be
        while ends < 2:
            result = self._result()
            ends = 0 if result is not None else ends + 1
            if result is not None and result.status == self._synced:
                self._libpq.exit_pipeline_mode()
                break
            found += [result] if result is not None else []
        return next((result for result in found if result.status not in self._good), found[-1])

    def _result(self) -> "PGresult | None":
        """libpq's next result. `get_result` would wait without letting other threads compute."""
        while self._libpq.is_busy():
            self._readable.poll()
            self._libpq.consume_input()
        return self._libpq.get_result()

    def control(self, sql: str) -> None:
        """BEGIN, COMMIT and their like; several with `;` between take one round trip."""
        if sql.startswith("ROLLBACK"):
            if self._pending:
                self._settled()  # whether that failed is of no interest any more
        else:
            self.settle()
        self._check(self._libpq.exec_(sql.encode()))

    def array(self, values: list[str]) -> Any:
        """PostgreSQL's way to write an array."""
        quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
        return "{" + ",".join(f'"{value}"' for value in quoted) + "}"

    def close(self) -> None:
        """The server rolls back when the connection ends."""

    @property
    def closed(self) -> bool:
        """Whether the server has ended the connection."""
        return self._gone or bool(self._raw.closed)

    @property
    def lost(self) -> bool:
        """Whether a statement has failed outside of a savepoint, or the connection is gone."""
        return not self._pending and self._libpq.transaction_status != self._in_transaction

    def _check(self, result: "PGresult") -> None:
        if result.status not in self._good:
            raise self._error(result)

    def _error(self, result: "PGresult") -> Exception:
        """psycopg's exception for the failure, without details: they have rows' values."""
        import psycopg
        from psycopg.pq import DiagnosticField

        state = result.error_field(DiagnosticField.SQLSTATE)
        said = result.error_field(DiagnosticField.MESSAGE_PRIMARY) or self._libpq.error_message
        kind = psycopg.errors.lookup(state.decode()) if state else psycopg.OperationalError
        return kind(said.decode(errors="replace").strip())


def _parameters(form: "Form", values: Values) -> tuple[list[Any], list[int]]:
    given = [values[name] if name in values else form.fixed.get(name) for name in form.names]
    return [_encoded(value) for value in given], [1 if type(value) is bytes else 0 for value in given]


def _encoded(value: Any) -> bytes | None:
    """A parameter: bytes as they are, all else in PostgreSQL's text form."""
    if type(value) is str:
        found = value.encode()
        if b"\0" in found:  # the text form ends there: it would be cut off
            from psycopg import DataError

            raise DataError("PostgreSQL's text can't have the character U+0000.")
        return found
    if value is None or type(value) is bytes:
        return value
    if type(value) is bool:
        return b"t" if value else b"f"
    if isinstance(value, int | float | str):
        return str(value).encode()
    raise TypeError(f"{type(value).__name__} is no parameter that the store knows")
