"""The moments at which a process can die: each write, each commit, after it, and around each thing done to a host."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

WRITES = ("INSERT", "UPDATE", "DELETE", "RELEASE", "COMMIT")


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
        """Count each statement that writes, the release of each savepoint and each commit of what was written."""

        def statement(connection: Connection, _cursor: Any, text: str, *_rest: Any) -> None:
            if text.lstrip().upper().startswith(WRITES):
                connection.info["wrote"] = True
                self.pass_by(text.split("\n")[0][:60])

        def released(connection: Connection, *_rest: Any) -> None:
            if connection.info.get("wrote"):
                self.pass_by("release of a savepoint")

        def commit(connection: Connection) -> None:
            if connection.info.pop("wrote", False):
                self.pass_by("commit")

        handlers = (("before_cursor_execute", statement), ("release_savepoint", released), ("commit", commit))
        for name, handler in handlers:
            event.listen(Engine, name, handler)
        try:
            yield
        finally:
            for name, handler in handlers:
                event.remove(Engine, name, handler)
