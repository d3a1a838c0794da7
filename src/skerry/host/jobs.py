"""Jobs that must not wait for each other: one at a time per key, failures tried again with a growing pause."""

import time
from collections.abc import Callable, Hashable, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock

import structlog

from skerry.host.errors import HostError, cause

log = structlog.get_logger()

# Operations are more patient than this (engine/steps.py): one that is sent again is tried again before it fails.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0

Key = tuple[str, str]


@dataclass(frozen=True)
class Failure:
    """Why a job failed, for which input, and when (monotonic) it may run again."""

    message: str
    given: Hashable
    pause: float
    until: float


class Jobs:
    """A thread pool whose jobs have a (kind, id) key. `done` is called from a worker after each job."""

    def __init__(self, name: str, done: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix=f"skerry-{name}")
        self._done = done
        self._clock = clock
        self._lock = Lock()
        self._busy: set[Key] = set()
        self._failures: dict[Key, Failure] = {}

    def submit(self, key: Key, given: Hashable, work: Callable[[], None]) -> None:
        """Run `work` unless the key is busy, or failed lately with the same `given` input."""
        with self._lock:
            failure = self._failures.get(key)
            pausing = failure is not None and failure.given == given and self._clock() < failure.until
            if key in self._busy or pausing:
                return
            self._busy.add(key)
        self._pool.submit(self._run, key, given, work)

    def hurry(self) -> None:
        """Try what failed again soon, as if it had failed for the first time: a user may have mended the cause."""
        with self._lock:
            self._failures = {
                key: replace(why, pause=FIRST_PAUSE, until=why.until - why.pause + FIRST_PAUSE)
                for key, why in self._failures.items()
            }

    def busy(self, key: Key) -> bool:
        """Whether a job of the key is queued or running."""
        with self._lock:
            return key in self._busy

    def problem(self, key: Key) -> str | None:
        """Why the key's last job failed; None if it went well."""
        with self._lock:
            failure = self._failures.get(key)
            return failure.message if failure else None

    def problems(self) -> list[tuple[str, str, str]]:
        """Every failure not yet made good, as (kind, id, message), sorted."""
        with self._lock:
            return sorted((*key, failure.message) for key, failure in self._failures.items())

    def any_busy(self, kind: str) -> bool:
        """Whether any job of the kind is queued or running."""
        with self._lock:
            return any(key[0] == kind for key in self._busy)

    def keep_failures(self, due: Set[Key]) -> None:
        """Drop the failures of all but `due` and the busy: nothing is to be done there any more."""
        with self._lock:
            self._failures = {key: why for key, why in self._failures.items() if key in due or key in self._busy}

    def close(self) -> None:
        """Wait for the running jobs; queued ones are dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, key: Key, given: Hashable, work: Callable[[], None]) -> None:
        message = _attempt(key, work)
        with self._lock:
            self._busy.discard(key)
            if message is None:
                self._failures.pop(key, None)
            else:
                self._failures[key] = self._failure(self._failures.get(key), given, message)
        self._done()

    def _failure(self, before: Failure | None, given: Hashable, message: str) -> Failure:
        same = before is not None and before.given == given
        pause = min(before.pause * 2, LONGEST_PAUSE) if before and same else FIRST_PAUSE
        return Failure(message, given, pause, self._clock() + pause)


def _attempt(key: Key, work: Callable[[], None]) -> str | None:
    """Run `work`; return why it failed, None when it didn't."""
    try:
        work()
    except (HostError, OSError) as error:
        message = cause(error) if isinstance(error, OSError) else str(error)
        log.warning("could not converge", kind=key[0], id=key[1], error=message)
        return message
    except Exception as error:
        log.exception("unexpected failure while converging", kind=key[0], id=key[1])
        return f"{type(error).__name__}: {error}"
    return None
