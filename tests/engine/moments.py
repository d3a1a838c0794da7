"""The moments at which a process can die: each write, each commit, after it, and around each thing done to a host."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from skerry.store.sql import Session, Statement


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it runs."""


def die(where: str) -> None:
    """The death of a process that the test goes on in."""
    raise Killed(where)


class Moments:
    """Counts the moments that pass; at the one numbered `fatal` (from 1; 0: none) it calls `die`."""

    def __init__(self, fatal: int = 0, die: Callable[[str], None] = die) -> None:
        self.fatal, self.passed = fatal, 0
        self.names: list[str] = []
        self._wrote: set[int] = set()
        self._die = die

    def arm(self, fatal: int) -> None:
        """Count anew."""
        self.fatal, self.passed, self.names = fatal, 0, []

    def pass_by(self, where: str) -> None:
        """One more moment has come."""
        self.passed += 1
        self.names.append(where)
        if self.passed == self.fatal:
            self._die(where)

    @contextmanager
    def of_the_database(self) -> Iterator[None]:
        """Count each statement that writes, each savepoint gone back to, and each commit of what was written."""
        run, many, count, returning = Session.run, Session.many, Session.count, Session.returning
        control = Session.control

        def wrote(session: Session, statement: Statement) -> None:
            self._wrote.add(id(session))
            self.pass_by(statement.on(session.dialect)[0].split("\n", maxsplit=1)[0][:60])

        def on_run(session: Session, statement: Statement, values: Any) -> None:
            wrote(session, statement)
            run(session, statement, values)

        def on_count(session: Session, statement: Statement, values: Any) -> int:
            wrote(session, statement)
            return count(session, statement, values)

        def on_many(session: Session, statement: Statement, rows: Any) -> None:
            wrote(session, statement)
            many(session, statement, rows)

        def on_returning(session: Session, statement: Statement, values: Any) -> Any:
            wrote(session, statement)
            return returning(session, statement, values)

        def on_control(session: Session, sql: str) -> None:
            if not sql.startswith("BEGIN") and id(session) in self._wrote:
                self.pass_by(sql)
            if sql in ("COMMIT", "ROLLBACK"):
                self._wrote.discard(id(session))
            control(session, sql)

        patches: dict[str, Any] = {
            "run": on_run,
            "many": on_many,
            "count": on_count,
            "returning": on_returning,
            "control": on_control,
        }
        with mock.patch.multiple(Session, **patches):
            yield
