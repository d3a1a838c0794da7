"""What can go wrong on a host.

HostError               something on the host failed; `str()` says what, what was kept and what to do
├── CommandError        a program ended with a failure; has its argv, status and the end of its stderr
├── MissingFeature      the host lacks something (a program, a device, a right); says how to get it
└── Refused             the input is not acceptable (a bad image file, a size below the present one)
"""

from collections.abc import Sequence


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
