"""The only door to subprocesses: argument lists, a fixed environment, a failure logged once."""

import subprocess
from collections.abc import Mapping, Sequence
from typing import IO

import structlog

from skerry.host.errors import CommandError, MissingFeature

log = structlog.get_logger()

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/nonexistent",
}


def run(
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    timeout: float = 60,
    pass_fds: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """Run `argv` to its end and return its standard output.

    Raises CommandError for any other exit status than 0 or after `timeout` seconds, MissingFeature when the
    program isn't there.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            timeout=timeout,
            pass_fds=tuple(pass_fds),
            env={**ENVIRONMENT, **(environment or {})},
            check=False,
        )
    except FileNotFoundError as error:
        raise MissingFeature(f"{argv[0]} is not installed: `skerry doctor` says what is missing") from error
    except subprocess.TimeoutExpired as error:
        raise _failed(argv, None, error.stderr or b"") from error
    if done.returncode != 0:
        raise _failed(argv, done.returncode, done.stderr)
    return done.stdout


def start(
    argv: Sequence[str],
    *,
    pass_fds: Sequence[int] = (),
    output: IO[bytes] | int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that goes on by itself, in a session of its own; its output goes to `output`."""
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=tuple(pass_fds),
            env={**ENVIRONMENT, **(environment or {})},
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise MissingFeature(f"{argv[0]} is not installed: `skerry doctor` says what is missing") from error


def _failed(argv: Sequence[str], status: int | None, stderr: bytes) -> CommandError:
    error = CommandError(argv, status, stderr.decode(errors="replace"))
    log.warning("command failed", argv=list(argv), status=status, stderr=error.stderr[-500:])
    return error
