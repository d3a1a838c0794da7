"""The control plane's end of a host on the same machine: hands out its spec, takes its reports."""

import threading

from skerry.hostspec import HostSpec, Observed
from skerry.store import Store


class HostLink:
    """A SpecSource on the store. `notify` is to be called when any spec has changed."""

    def __init__(self, store: Store, host: str) -> None:
        self._store, self._host = store, host
        self._changed = threading.Condition()
        self._closed = False
        with store.write() as work:
            work.hosts.add(host)
            work.hosts.retire_others(host, host)

    def notify(self) -> None:
        """A spec may have a new revision."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Make no agent wait any longer."""
        self._closed = True
        self.notify()

    def desired(self, newer_than: int, timeout: float) -> HostSpec | None:
        """The host's whole spec once its revision exceeds `newer_than`; None after `timeout` seconds without."""
        with self._changed:
            if self._revision() <= newer_than and not self._closed:
                self._changed.wait(timeout)
        with self._store.read() as work:
            return work.hosts.spec(self._host) if work.hosts.revision(self._host) > newer_than else None

    def _revision(self) -> int:
        with self._store.read() as work:
            return work.hosts.revision(self._host)

    def report(self, observed: Observed) -> None:
        """Store what was seen, and wake the operations that wait for it."""
        with self._store.write() as work:
            if work.hosts.record(self._host, observed):
                work.operations.wake(host=self._host)
