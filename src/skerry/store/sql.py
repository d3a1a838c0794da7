"""Statements that are built once and run on the driver itself.

SQLAlchemy writes the SQL; it doesn't run it on the paths that every request and every step takes, as its `execute`
takes several times what the statement does. `Session.connection` is SQLAlchemy's connection of the same transaction,
for what is rare or built as it goes.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any, NamedTuple

from sqlalchemy import ClauseElement, Connection, Dialect, Table, TextClause, text

from skerry.store.drivers import Driver, PostgresqlDriver, Row, SqliteDriver, Values

_labels = count()
_NONE: Values = {}


class Form(NamedTuple):
    """A statement in one database's words. `names`: of its parameters, in order; `fixed`: those that never change."""

    text: str
    fixed: dict[str, Any]
    names: tuple[str, ...]
    label: bytes


class Statement:
    """One statement with named parameters, as text for SQLite and for PostgreSQL. Make it at import."""

    def __init__(self, construct: ClauseElement, *, postgresql: ClauseElement | None = None) -> None:
        self._constructs = {"sqlite": construct, "postgresql": construct if postgresql is None else postgresql}
        self._forms: dict[str, Form] = {}

    def on(self, dialect: str) -> Form:
        """The statement for one database."""
        found = self._forms.get(dialect)
        if found is None:
            compiled: Any = self._constructs[dialect].compile(dialect=_dialect(dialect))
            fixed = {name: value for name, value in compiled.params.items() if value is not None}
            label = b"skerry_%d" % next(_labels)
            found = self._forms[dialect] = Form(str(compiled), fixed, tuple(compiled.positiontup or ()), label)
        return found


@cache
def _dialect(name: str) -> Dialect:
    if name == "sqlite":
        from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

        return SQLiteDialect_pysqlite(paramstyle="named")
    from sqlalchemy.dialects.postgresql.base import PGDialect

    make: Callable[..., Dialect] = PGDialect
    return make(paramstyle="numeric_dollar")


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


@dataclass
class Known:
    """What a transaction has read and written, as it is now: that is not asked for again.

    `rows` are those of `resources` by key; `unlinked` and `untagged`: the keys of rows that it has made, as long as it
    has given them no links, no tags. `specs` are by host, kind and id; `revisions`: those that the present unit of work
    has given to hosts' specs.
    """

    rows: dict[str, Row | None] = field(default_factory=dict)
    unlinked: set[str] = field(default_factory=set)
    untagged: set[str] = field(default_factory=set)
    specs: dict[tuple[str, str, str], bytes | None] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)

    def forget(self, key: str) -> None:
        """The row with this key goes."""
        self.rows.pop(key, None)
        self.unlinked.discard(key)
        self.untagged.discard(key)


class Session:
    """One database connection, used by one transaction after the other.

    A savepoint is made by the first statement in it that writes: most blocks that could need one only look.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect.name
        raw: Any = connection.connection.driver_connection
        self._driver: Driver = SqliteDriver(raw) if self.dialect == "sqlite" else PostgresqlDriver(raw)
        self._savepoints = 0
        self._unmade: list[str] = []
        self._over = ""  # the savepoint that is over, but not released yet: the next one says so in the same breath
        self.known = Known()

    @property
    def connection(self) -> Connection:
        """SQLAlchemy's connection, in this transaction. It must not end it."""
        self._make_savepoints()
        self._driver.settle()
        return self._connection

    def array(self, values: list[str]) -> Any:
        """A list as a parameter: of `json_each` in SQLite, of `ANY` in PostgreSQL."""
        return self._driver.array(values)

    def control(self, sql: str) -> None:
        """BEGIN, COMMIT and their like: text without parameters; on PostgreSQL several take one round trip."""
        self._driver.control(sql)

    def later(self, sql: str) -> None:
        """As `control`, in one round trip with the first statement."""
        self._driver.later([sql])

    def settle(self) -> None:
        """All that was written before is done, or this raises."""
        self._driver.settle()

    def rows(self, statement: Statement, values: Values = _NONE) -> list[Row]:
        """All rows of a query."""
        return self._driver.run(statement, values)

    def first(self, statement: Statement, values: Values = _NONE) -> Row | None:
        """The first row of a query; None when there is none."""
        found = self._driver.run(statement, values)
        return found[0] if found else None

    def run(self, statement: Statement, values: Values) -> None:
        """Write. What the database refuses may show at the next statement that reads, or at the savepoint's end."""
        self._make_savepoints()
        self._driver.write(statement, [values])

    def many(self, statement: Statement, rows: Sequence[Values]) -> None:
        """As `run`, once for each of `rows`."""
        if rows:
            self._make_savepoints()
            self._driver.write(statement, rows)

    def count(self, statement: Statement, values: Values) -> int:
        """Write; how many rows it was."""
        self._make_savepoints()
        self._driver.run(statement, values)
        return self._driver.count

    def returning(self, statement: Statement, values: Values) -> list[Row]:
        """Write, with a RETURNING clause: what it returns."""
        self._make_savepoints()
        return self._driver.run(statement, values)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What the block wrote is taken back when it raises."""
        self._savepoints += 1
        name = f"skerry_{self._savepoints}"
        self._unmade.append(name)
        try:
            yield
            self._driver.settle()
        except BaseException:
            self._end_savepoint(f"ROLLBACK TO SAVEPOINT {name}", name)
            raise
        self._end_savepoint("", name)

    def _end_savepoint(self, undo: str, name: str) -> None:
        if name in self._unmade:
            del self._unmade[self._unmade.index(name) :]
            return
        # One that was over inside of this one goes with it.
        self._over = name
        if undo:
            self.known = Known()
            self.control(undo)

    def _make_savepoints(self) -> None:
        if not self._unmade:
            return
        over = [f"RELEASE SAVEPOINT {self._over}"] if self._over else []
        self._driver.later([*over, *(f"SAVEPOINT {name}" for name in self._unmade)])
        self._over = ""
        self._unmade.clear()

    def end(self, sql: str) -> None:
        """End the transaction with COMMIT or ROLLBACK."""
        self._forget()
        self.control(sql)
        if self._connection.in_transaction():  # SQLAlchemy's own idea of one, begun by its first statement
            self._connection.rollback()

    def leave(self) -> None:
        """End a transaction that has only read, and don't wait for that."""
        if self._connection.in_transaction():
            self.end("COMMIT")
        else:
            self._forget()
            self._driver.settle()
            self._driver.leave("COMMIT")

    def _forget(self) -> None:
        self._savepoints, self._over = 0, ""
        self._unmade.clear()
        self.known = Known()

    @property
    def closed(self) -> bool:
        """Whether the server has ended the connection."""
        return self._driver.closed

    @property
    def lost(self) -> bool:
        """Whether the database has given up the transaction: a COMMIT would keep nothing of it."""
        return self._driver.lost

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        with suppress(Exception):
            self._driver.close()
        self._connection.invalidate()
        self._connection.close()
