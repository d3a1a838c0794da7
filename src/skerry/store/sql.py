"""Statements that are built once and run on the driver itself.

SQLAlchemy writes the SQL; it doesn't run it on the paths that every request and every step takes, as its `execute`
takes several times what the statement does. `Session.connection` is SQLAlchemy's connection of the same transaction,
for what is rare or built as it goes.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import ClauseElement, Connection, Dialect, Table, TextClause, text

Row = tuple[Any, ...]
_IN_TRANSACTION = 2  # PQTRANS_INTRANS of libpq


class Statement:
    """One statement with named parameters, as text for SQLite and for PostgreSQL. Make it at import."""

    def __init__(self, construct: ClauseElement, *, postgresql: ClauseElement | None = None) -> None:
        self._constructs = {"sqlite": construct, "postgresql": construct if postgresql is None else postgresql}
        self._compiled: dict[str, tuple[str, dict[str, Any]]] = {}

    def on(self, dialect: str) -> tuple[str, dict[str, Any]]:
        """The text, and the values of the parameters that never change."""
        found = self._compiled.get(dialect)
        if found is None:
            compiled = self._constructs[dialect].compile(dialect=_dialect(dialect))
            fixed = {name: value for name, value in compiled.params.items() if value is not None}
            found = self._compiled[dialect] = (str(compiled), fixed)
        return found


@cache
def _dialect(name: str) -> Dialect:
    if name == "sqlite":
        from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

        return SQLiteDialect_pysqlite(paramstyle="named")
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    make: Callable[..., Dialect] = PGDialect_psycopg
    return make(paramstyle="pyformat")


def upsert(table: Table, fixed: Collection[str] = ()) -> TextClause:
    """Insert a row of all columns, or replace the one with its key, but what is `fixed`. Both databases write alike.

    SQLite writes every index anew that has a column which is set, also to the same value.
    """
    names = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys and name not in fixed)
    values = ", ".join(f":{name}" for name in names)
    return text(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values}) "
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"
    )


class Session:
    """One database connection, used by one transaction after the other.

    A savepoint is made by the first statement in it that writes: most blocks that could need one only look.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect.name
        raw: Any = connection.connection.driver_connection
        self._raw = raw
        self._cursor = raw.cursor(binary=True) if self.dialect == "postgresql" else raw.cursor()
        self._control = raw.cursor()
        self._savepoints = 0
        self._unmade: list[str] = []

    @property
    def connection(self) -> Connection:
        """SQLAlchemy's connection, in this transaction. It must not end it."""
        self._make_savepoints()
        return self._connection

    def array(self, values: list[str]) -> Any:
        """A list as a parameter: of `json_each` in SQLite, of `ANY` in PostgreSQL."""
        return values if self.dialect == "postgresql" else json.dumps(values)

    def rows(self, statement: Statement, values: Mapping[str, Any] | None = None) -> list[Row]:
        """All rows of a query."""
        sql, fixed = statement.on(self.dialect)
        self._cursor.execute(sql, {**fixed, **(values or {})} if fixed else values or ())
        found: list[Row] = self._cursor.fetchall()
        return found

    def first(self, statement: Statement, values: Mapping[str, Any] | None = None) -> Row | None:
        """The first row of a query; None when there is none."""
        found = self.rows(statement, values)
        return found[0] if found else None

    def run(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Write; how many rows it was."""
        if self._unmade:
            self._make_savepoints()
        sql, fixed = statement.on(self.dialect)
        self._cursor.execute(sql, {**fixed, **values} if fixed else values)
        return int(self._cursor.rowcount)

    def returning(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """Write, with a RETURNING clause: what it returns."""
        if self._unmade:
            self._make_savepoints()
        return self.rows(statement, values)

    def many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write once for each of `rows`."""
        if not rows:
            return
        if self._unmade:
            self._make_savepoints()
        sql, fixed = statement.on(self.dialect)
        self._cursor.executemany(sql, [{**fixed, **row} for row in rows] if fixed else rows)

    def control(self, sql: str) -> None:
        """BEGIN, COMMIT and their like: text without parameters, on PostgreSQL several in one round trip."""
        self._control.execute(sql)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What the block wrote is taken back when it raises."""
        self._savepoints += 1
        name = f"skerry_{self._savepoints}"
        self._unmade.append(name)
        try:
            yield
        except BaseException:
            self._end_savepoint(f"ROLLBACK TO SAVEPOINT {name}", name)
            raise
        self._end_savepoint("", name)

    def _end_savepoint(self, undo: str, name: str) -> None:
        if name in self._unmade:
            del self._unmade[self._unmade.index(name) :]
            return
        if undo:
            self.control(undo)
        self.control(f"RELEASE SAVEPOINT {name}")

    def _make_savepoints(self) -> None:
        for name in self._unmade:
            self.control(f"SAVEPOINT {name}")
        self._unmade.clear()

    def end(self, sql: str) -> None:
        """End the transaction with COMMIT or ROLLBACK."""
        self._savepoints = 0
        self._unmade.clear()
        self.control(sql)
        if self._connection.in_transaction():  # SQLAlchemy's own idea of one, begun by its first statement
            self._connection.rollback()

    @property
    def closed(self) -> bool:
        """Whether the server has ended the connection."""
        return self.dialect == "postgresql" and bool(self._raw.closed)

    @property
    def lost(self) -> bool:
        """Whether the database has given up the transaction: a COMMIT would keep nothing of it."""
        if self.dialect == "sqlite":
            return not self._raw.in_transaction
        return bool(self._raw.info.transaction_status != _IN_TRANSACTION)

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        self._connection.invalidate()
        self._connection.close()
