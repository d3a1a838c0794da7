"""What can go wrong on a host.

HostError               something on the host failed; `str()` says what, what was kept and what to do
├── CommandError        a program ended with a failure; has its argv, status and the end of its stderr
├── MissingFeature      the host lacks something (a program, a device, a right); says how to get it
└── Refused             the input is not acceptable (a bad image file, a size below the present one)
"""

import errno
from collections.abc import Sequence

_WHAT_TO_DO = {
    errno.ENOSPC: "the host's disk is full; make room",
    errno.EDQUOT: "the disk quota is used up; make room",
    errno.EROFS: "its file system is read-only; mount it for writing",
    errno.EMFILE: "Skerry has as many files open as it may; raise its limit (`ulimit -n`)",
    errno.ENFILE: "the host has as many files open as it can; raise fs.file-max",
    errno.ENOMEM: "the host has no memory left; stop something",
}


class HostError(Exception):
    """Something on the host failed. Trying again later may work."""


class CommandError(HostError):
    """A program failed. `status` is its exit status, negative for a signal, None when it ran out of time."""

    def __init__(self, argv: Sequence[str], status: int | None, stderr: str) -> None:
        self.argv, self.status, self.stderr = list(argv), status, stderr
        how = "ran out of time" if status is None else f"ended with status {status}"
        super().__init__(f"{argv[0]} {how}: {stderr.strip()[-2000:] or 'it printed no reason'}")


class MissingFeature(HostError):
    """The host lacks something; the message says how to mend it."""


class Refused(HostError):
    """The input is not acceptable; trying again with the same input won't help."""


def cause(error: OSError) -> str:
    """What the system refused, where, and what to do about it."""
    what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    hint = _WHAT_TO_DO.get(error.errno or 0)
    return f"{what} ({hint}; it is tried again)" if hint else what
