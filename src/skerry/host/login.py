"""When a guest that reported Ready can really be logged into.

cloud-init posts Ready before sshd runs: seconds pass between the two, more under emulation. Azure's users expect
`ssh` to work when the create returns, so a fresh Ready counts once the guest greets on TCP port 22. A guest without
an SSH server is given WAIT_SECONDS, then its Ready counts all the same.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from skerry.host.errors import HostError
from skerry.hostspec import Health

SSH_PORT = 22
WAIT_SECONDS = 90.0
PAUSE_SECONDS = 0.3


class LoginWatch:
    """Looks at guests one after their Ready. `greets(port id, TCP port)` tells whether a guest says something there.

    `changed` is called from another thread whenever a wait has ended.
    """

    def __init__(self, greets: Callable[[str, int], bool], changed: Callable[[], None]) -> None:
        self._greets, self._changed = greets, changed
        self._pending: set[str] = set()
        self._waiting: set[str] = set()
        self._trusted: set[str] = set()
        self._closing = threading.Event()
        self._lock = threading.Lock()

    def health(self, vm: str, port: str | None, reported: Health) -> Health:
        """The guest's health with this in mind. `port`: the id of its first port; None: it has no network."""
        with self._lock:
            if reported == "pending":
                self._pending.add(vm)
            if reported != "ready" or vm not in self._pending or vm in self._trusted or port is None:
                return reported
            if vm not in self._waiting:
                self._waiting.add(vm)
                threading.Thread(target=self._wait, args=(vm, port), name=f"login-{vm[:8]}", daemon=True).start()
            return "pending"

    def trust(self, vm: str) -> None:
        """Take the guest's Ready for what it says: its SSH server runs, and a greeting costs it a process."""
        with self._lock:
            self._trusted.add(vm)

    def close(self) -> None:
        """Wait for nobody any longer."""
        self._closing.set()

    def _wait(self, vm: str, port: str) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end and not self._closing.is_set():
            with suppress(HostError, OSError):
                if self._greets(port, SSH_PORT):
                    break
            self._closing.wait(PAUSE_SECONDS)
        with self._lock:
            self._pending.discard(vm)
            self._waiting.discard(vm)
        self._changed()
