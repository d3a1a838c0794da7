"""What other control planes change in a shared PostgreSQL: NOTIFY as a hint, a look every second as the truth."""

import os
import selectors
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from sqlalchemy import func, select

from skerry.store.database import Database, StoreUnavailable
from skerry.store.sessions import CHANNEL
from skerry.store.sql import Session, Statement
from skerry.store.tables import hosts

log = structlog.get_logger()

POLL_SECONDS = 1.0
QUIET_SECONDS = 0.01  # between two looks at notices: under load one takes in many

_REVISIONS = Statement(select(func.coalesce(func.sum(hosts.c.revision), 0)))


class Watch:
    """Calls back when another control plane than `me` has changed specs or operations; at each look for operations."""

    def __init__(
        self, database: Database, me: str, on_spec_change: Callable[[], None], on_operation_change: Callable[[], None]
    ) -> None:
        self._database, self._me = database, me
        self._on_spec_change, self._on_operation_change = on_spec_change, on_operation_change
        self._revisions: object = None
        self._stopping, self._stopped = os.pipe()  # readable once it is to stop
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Call back no more."""
        os.close(self._stopped)
        self._thread.join()
        os.close(self._stopping)

    def _run(self) -> None:
        while not self._wait(0):
            try:
                self._listen()
            except Exception as error:
                if not (isinstance(error, StoreUnavailable) or self._database.outage(error)):
                    log.exception("other control planes' changes can't be heard")
            self._wait(POLL_SECONDS)

    def _wait(self, seconds: float, *others: int) -> bool:
        """Wait until it is to stop (True), one of `others` is readable, or the time is over."""
        with selectors.DefaultSelector() as selector:
            for descriptor in (self._stopping, *others):
                selector.register(descriptor, selectors.EVENT_READ)
            return any(key.fd == self._stopping for key, _ in selector.select(seconds))

    def _listen(self) -> None:
        session = self._database.connect()
        try:
            session.control(f"LISTEN {CHANNEL}")
            raw: Any = session.connection.connection.driver_connection
            looked = 0.0
            while not self._wait(QUIET_SECONDS):
                if time.monotonic() - looked >= POLL_SECONDS:
                    looked = time.monotonic()
                    self._look(session)
                self._tell(raw.notifies(timeout=0))
                if self._wait(POLL_SECONDS, raw.fileno()):
                    return
        finally:
            session.close()

    def _tell(self, notices: Iterable[Any]) -> None:
        told: set[str] = set()
        for notice in notices:
            sender, *kinds = notice.payload.split()
            told.update(kinds if sender != self._me else ())
        if "spec" in told:
            self._on_spec_change()
        if "operation" in told:
            self._on_operation_change()

    def _look(self, session: Session) -> None:
        revisions = session.first(_REVISIONS)
        if revisions != self._revisions:
            self._revisions = revisions
            self._on_spec_change()
        self._on_operation_change()
