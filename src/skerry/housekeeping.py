"""Forgets what nobody asks for any more: old operations and old events, few at a time, so that no writer waits long.
What was deleted is then in no file any more.

An operation goes a day after its end, but the latest of each resource stays: it explains how the resource came to be as
it is. Several control planes may do this at once.
"""

import threading
import time

import structlog

from skerry.store import Store
from skerry.store.activity import KEPT_EVENTS
from skerry.store.operations import KEPT_SECONDS

log = structlog.get_logger()

EVENTS_EVERY = 60.0  # seconds
OPERATIONS_EVERY = 3600.0


class Housekeeper:
    """Runs in a thread of its own from `start()` to `stop()`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin; the first round comes at once."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch under way."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _loop(self) -> None:
        due = time.monotonic()
        while not self._stopped.is_set():
            try:
                self.forget_events(time.time())
                if time.monotonic() >= due:
                    due = time.monotonic() + OPERATIONS_EVERY
                    self.forget_operations(time.time())
                self._store.wipe()
            except Exception:
                log.exception("old events and operations could not be removed; trying again later")
            self._stopped.wait(EVENTS_EVERY)

    def forget_events(self, now: float, keep: int = KEPT_EVENTS) -> None:
        """Remove events that are too old, or more than `keep`."""
        while not self._stopped.is_set():
            with self._store.read() as work:
                identifiers = work.activity.older(work.activity.oldest_kept(now, keep))
            if not identifiers:
                return
            with self._store.write() as work:
                work.activity.remove(identifiers)

    def forget_operations(self, now: float) -> None:
        """Remove operations that ended more than a day ago and aren't the latest of a resource."""
        after = None
        while not self._stopped.is_set():
            with self._store.read() as work:
                looked_at = work.operations.ended_before(now - KEPT_SECONDS, after)
            if not looked_at:
                return
            after = looked_at[-1]
            superseded = [operation.id for operation in looked_at if operation.superseded]
            if superseded:
                with self._store.write() as work:
                    work.operations.remove(superseded)
