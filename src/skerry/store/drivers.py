"""How a session talks to its database: sqlite3's cursor, or libpq's calls.

psycopg's cursor takes some thirty microseconds of CPU for a statement, three times what libpq does: with a hundred
statements for one virtual machine that decides how many can be made. So statements are prepared once for each
connection and run with `psycopg.pq`; psycopg connects, and turns results into Python's types.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.pq.abc import PGresult

    from skerry.store.sql import Statement

Row = tuple[Any, ...]
Values = Mapping[str, Any]


class Driver(Protocol):
    """One connection. `count`: how many rows the last statement wrote."""

    count: int

    def run(self, statement: "Statement", values: Values) -> list[Row]:
        """Run a statement; its rows."""

    def many(self, statement: "Statement", rows: Sequence[Values]) -> None:
        """Run a statement that gives no rows, once for each of `rows`."""

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

    def many(self, statement: "Statement", rows: Sequence[Values]) -> None:
        """Run a statement that gives no rows, once for each of `rows`."""
        form = statement.on("sqlite")
        self._cursor.executemany(form.text, [{**form.fixed, **row} for row in rows] if form.fixed else rows)

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
        self._idle, self._in_transaction = pq.TransactionStatus.IDLE, pq.TransactionStatus.INTRANS
        self.count = 0

    def run(self, statement: "Statement", values: Values) -> list[Row]:
        """Run a statement; its rows."""
        form = statement.on("postgresql")
        if form.label not in self._prepared:
            self._check(self._libpq.prepare(form.label, form.text.encode()))
            self._prepared.add(form.label)
        given = [values[name] if name in values else form.fixed.get(name) for name in form.names]
        formats = [1 if type(value) is bytes else 0 for value in given]
        encoded: Any = [_encoded(value) for value in given]
        result = self._libpq.exec_prepared(form.label, encoded, formats, 1)
        self._check(result)
        self.count = result.command_tuples or 0
        if not result.ntuples:
            return []
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def many(self, statement: "Statement", rows: Sequence[Values]) -> None:
        """Run a statement that gives no rows, once for each of `rows`."""
        for row in rows:
            self.run(statement, row)

    def control(self, sql: str) -> None:
        """BEGIN, COMMIT and their like; several with `;` between take one round trip."""
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
        return bool(self._raw.closed)

    @property
    def lost(self) -> bool:
        """Whether a statement has failed outside of a savepoint, or the connection is gone."""
        return self._libpq.transaction_status != self._in_transaction

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
