"""What a command ends with when it fails: one line on stderr, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager


class CliError(Exception):
    """A command failed. `str()` says what happened and what to do; the exit code is 1."""


class ApiError(CliError):
    """The API refused. `code` is ARM's, `status` HTTP's (0 when an operation failed later)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code = status, code
        super().__init__(f"{code}: {message}")


@contextmanager
def reported(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors that already speak to the user into CliError."""
    try:
        yield
    except kinds as error:
        raise CliError(str(error)) from error
