"""Runs durable operations: takes what is due, runs its steps, stores what comes next.

One thread runs many operations in one transaction, each step in a savepoint: one commit, and so one wait for the disk,
serves all. A step that raises what it shouldn't is taken back alone. Several engines may share a database: a
transaction that writes is the only one, and looks again at what is due.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf

import msgspec
import orjson
import structlog
from structlog.contextvars import bound_contextvars

from skerry.arm.body import encode
from skerry.arm.errors import ArmError, ErrorDetail
from skerry.arm.rows import set_state
from skerry.arm.service import ResourceService
from skerry.engine.placer import Placer
from skerry.engine.steps import Done, Hop, Nap, OperationKind, Outcome, StepContext
from skerry.engine.trace import record
from skerry.store import LONGEST_NAP, OperationRow, Store, StoreUnavailable, UnitOfWork

log = structlog.get_logger()

BATCH = 32  # operations of one transaction; other writers wait for it
BUSY_SECONDS = 0.5  # after which it takes no further operation
MAX_ATTEMPTS = 8  # at a step that raises what it shouldn't
LONGEST_DRIFT = 2.0  # seconds between two looks at the clocks; more means that one was set
RETRY_SECONDS = 1.0  # after a transaction that the database refused


class Outage:
    """Says once that the database is away, and once that it is back."""

    def __init__(self) -> None:
        self._said = ""

    def log(self, error: StoreUnavailable) -> None:
        """It is away."""
        if str(error) != self._said:
            self._said = str(error)
            log.warning("operations wait for the database", cause=str(error))

    def over(self) -> None:
        """It is there."""
        if self._said:
            self._said = ""
            log.info("operations go on")


class Engine:
    """One per control plane. `start()` runs it in a thread of its own; `run_due()` runs it in the caller's.

    `on_step(kind, step, seconds, outcome)` hears of each step that ran: hop, nap, done or failed.
    `on_end(work, operation)` is called in the transaction that ends an operation.
    """

    def __init__(
        self,
        store: Store,
        service: ResourceService,
        kinds: Mapping[str, OperationKind],
        *,
        idle_seconds: float = LONGEST_NAP,
    ) -> None:
        """`idle_seconds`: look for due operations this often even if nothing says that there are any."""
        self._store, self._service, self._kinds = store, service, kinds
        self._idle_seconds, self._placer = idle_seconds, Placer(store)
        self.on_step: Callable[[str, str, float, str], None] = lambda _kind, _step, _seconds, _outcome: None
        self.on_end: Callable[[UnitOfWork, OperationRow], None] = lambda _work, _operation: None
        self._outage = Outage()
        self._clock_offset = time.time() - time.monotonic()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to run operations, those that an earlier process left included."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the steps under way and run no more."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """Look for due operations now."""
        self._wake.set()

    def run_due(self) -> int:
        """Run everything that is due until it naps or ends. Returns how many operations were looked at."""
        self._follow_clock()
        with self._store.read() as work:
            due = work.operations.due(time.time(), 256)
        for first in range(0, len(due), BATCH):
            self._run(due[first : first + BATCH])
        return len(due)

    def _follow_clock(self) -> None:
        """Somebody set the clock on, or the machine slept: operations have lost no time by that.

        One that was set back needs nothing here: see `_mind_clock`.
        """
        now = time.time()
        offset = now - time.monotonic()
        jump = offset - self._clock_offset
        if jump > LONGEST_DRIFT:
            log.warning("the clock was set on", seconds=round(jump, 1))
            with self._store.write() as work:
                work.operations.shift(jump, now - jump)
        self._clock_offset = offset

    def _loop(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                if not self.run_due():
                    self._wake.wait(self._pause())
                self._outage.over()
            except StoreUnavailable as error:
                self._outage.log(error)
                self._rest()
            except Exception:
                log.exception("operations could not be run; trying again")
                self._rest()

    def _rest(self) -> None:
        """Whatever wakes it up: without a database there is nothing to do sooner."""
        end = time.monotonic() + RETRY_SECONDS
        while not self._stopping and time.monotonic() < end:
            time.sleep(0.1)

    def _pause(self) -> float:
        now = time.time()
        with self._store.read() as work:
            resume = work.operations.next_resume(now)
        return self._idle_seconds if resume is None else min(max(resume - now, 0.0), self._idle_seconds)

    def _run(self, identifiers: Sequence[str]) -> None:
        """Run these operations in one transaction. If the database refuses it as a whole, run each in its own."""
        try:
            with self._store.write() as work:
                due = work.operations.get_due(identifiers, time.time())
                work.resources.get_many(operation.target for operation in due)  # in one go
                end = time.perf_counter() + BUSY_SECONDS
                for operation in due:
                    self._go(work, operation)
                    if time.perf_counter() > end:  # the rest is still due: requests come in between
                        break
        except StoreUnavailable:
            raise
        except Exception:
            if len(identifiers) > 1:
                for identifier in identifiers:
                    self._run([identifier])
                return
            log.exception("operation could not be stored", operation=identifiers[0])
            with self._store.write() as work:
                stored = work.operations.get(identifiers[0])
                if stored is not None and stored.status == "InProgress":
                    self._postpone(work, stored)

    def step(self, identifier: str) -> bool:
        """Run one step in one transaction. True when the next one may follow at once."""
        with self._store.write() as work:
            operation = work.operations.get(identifier)
            return operation is not None and operation.status == "InProgress" and self._go(work, operation, 1)

    def _go(self, work: UnitOfWork, operation: OperationRow, steps: float = inf) -> bool:
        """Run steps until one naps or ends, at most this many, and store what comes next. True if that may follow."""
        while goes_on := self._step(work, operation):
            steps -= 1
            if self._stopping or steps < 1:
                work.operations.save(operation)
                break
        return goes_on

    def _step(self, work: UnitOfWork, operation: OperationRow) -> bool:
        """Run one step. True when the next one, which isn't stored yet, may follow at once."""
        now, kind, row = time.time(), self._kinds[operation.kind], work.resources.get(operation.target)
        if row is None or (kind.owns and row.operation != operation.id):
            self._end(work, operation, "Canceled", _preempted(operation))
            return False
        _mind_clock(operation, now)
        context = StepContext(work, operation, row, self._service, now, self._placer)
        if now > operation.deadline:
            self._fail(work, operation, lambda c: kind.timed_out(c) if kind.timed_out else _too_late(operation))
            return False
        work.origin = operation.origin
        name, began = operation.step, time.perf_counter()
        with bound_contextvars(kind=kind.name, operation=operation.id, step=name, **_ids(operation)):
            outcome = self._outcome(context, kind)
            seconds = time.perf_counter() - began
            self.on_step(kind.name, name, seconds, record(operation, name, now, seconds, outcome))
            return self._follow(context, outcome)

    def _outcome(self, context: StepContext, kind: OperationKind) -> Outcome | ErrorDetail | None:
        """What the operation's step says; why it failed; None if it raised what it shouldn't. These leave no trace."""
        operation, work = context.operation, context.work
        before = orjson.dumps(operation.state)
        found: ErrorDetail | None
        try:
            with work.savepoint():
                return kind.steps[operation.step](context)
        except ArmError as error:
            found = error.detail
        except Exception as error:
            if work.lost or self._store.outage(error):
                raise
            log.exception("operation step failed", operation=operation.id, step=operation.step)
            found = None
        operation.state = orjson.loads(before)
        return found

    def _follow(self, context: StepContext, outcome: Outcome | ErrorDetail | None) -> bool:
        operation, work = context.operation, context.work
        if isinstance(outcome, ErrorDetail):
            detail = outcome
            self._fail(work, operation, lambda _context: detail)
        elif outcome is None:
            self._postpone(work, operation)
        elif isinstance(outcome, Done):
            operation.result = outcome.result
            self._end(work, operation, "Succeeded")
        else:
            return self._go_on(context, outcome)
        return False

    def _go_on(self, context: StepContext, outcome: Hop | Nap) -> bool:
        operation = context.operation
        if outcome.step:
            operation.step = outcome.step
            operation.state.pop("attempts", None)
        if isinstance(outcome, Hop):
            operation.resume_at, operation.waits_for = 0.0, ""
            return True
        operation.resume_at = context.now + min(outcome.seconds, LONGEST_NAP)
        operation.waits_for = outcome.host
        context.work.operations.save(operation)
        return False

    def _postpone(self, work: UnitOfWork, operation: OperationRow) -> None:
        """A step raised what it shouldn't: try again later, and in the end fail with a cause."""
        attempts = operation.state.get("attempts", 0) + 1
        operation.state["attempts"] = attempts
        operation.resume_at, operation.waits_for = time.time() + min(2**attempts * 0.1, 30), ""
        work.operations.save(operation)
        if attempts >= MAX_ATTEMPTS:
            self._fail(work, operation, lambda _context: _defect(operation, attempts))

    def _fail(self, work: UnitOfWork, operation: OperationRow, cause: Callable[[StepContext], ErrorDetail]) -> None:
        """End it as failed, with its own undo; one that can't even be undone is tried again later."""
        kind, row = self._kinds[operation.kind], work.resources.get(operation.target)
        if row is None:
            self._end(work, operation, "Canceled", _preempted(operation))
            return
        try:
            with work.savepoint():
                context = StepContext(work, operation, row, self._service, time.time(), self._placer)
                detail = cause(context)
                kind.on_failure(context, detail)
                self._end(work, operation, "Failed", detail)
        except Exception as error:
            if work.lost or self._store.outage(error):
                raise
            log.exception("operation could not be ended", operation=operation.id)
            operation.status, operation.ended, operation.error = "InProgress", None, None
            operation.resume_at = time.time() + 30
            work.operations.save(operation)

    def _end(self, work: UnitOfWork, operation: OperationRow, status: str, error: ErrorDetail | None = None) -> None:
        """Store the end, give the resource back, and wake who waits for it."""
        assert status in {"Succeeded", "Failed", "Canceled"}
        operation.status = status  # type: ignore[assignment]
        operation.ended, operation.waits_for = time.time(), ""
        operation.error = encode(error) if error else None
        self._release(work, operation, error)
        work.operations.save(operation)
        self.on_end(work, operation)
        work.after_commit.append(lambda: _say_ended(operation))
        waiter = operation.state.get("waiter")
        if waiter:
            work.operations.wake(identifier=waiter)

    def _release(self, work: UnitOfWork, operation: OperationRow, failure: ErrorDetail | None) -> None:
        """The operation owns its resource no longer."""
        row = work.resources.get(operation.target)
        if row is None or row.operation != operation.id:
            return
        row.operation = ""
        row.private.pop("failure", None)
        if failure is not None and self._kinds[operation.kind].fails_resource:
            set_state(row, "Failed")
            row.private["failure"] = {"code": failure.code, "message": failure.message}
        work.resources.save(row)


def _ids(operation: OperationRow) -> dict[str, str]:
    """The ids of the request that began it, for the log."""
    ids = {"request_id": operation.request_id, "correlation_id": operation.correlation_id}
    return {name: value for name, value in ids.items() if value}


def _say_ended(operation: OperationRow) -> None:
    if operation.ended is None:  # its end was taken back
        return
    log.info(
        "operation ended",
        operation=operation.id,
        kind=operation.kind,
        result=operation.status,
        seconds=round(operation.ended - operation.started, 3),
        resource=operation.target_id,
        **({"code": msgspec.json.decode(operation.error, type=ErrorDetail).code} if operation.error else {}),
        **_ids(operation),
    )


def _mind_clock(operation: OperationRow, now: float) -> None:
    """An operation from the future began before the clock was set back: it gets its whole time again, no more."""
    ahead = operation.started - now
    if ahead > 1:  # less is the difference of two machines' clocks
        operation.started -= ahead
        operation.deadline -= ahead


def _preempted(operation: OperationRow) -> ErrorDetail:
    return ErrorDetail(
        "OperationPreempted", f"The operation on '{operation.target_id}' has been preempted by a more recent operation."
    )


def _too_late(operation: OperationRow) -> ErrorDetail:
    seconds = round(operation.deadline - operation.started)
    return ErrorDetail(
        "OperationTimedOut",
        f"The operation on '{operation.target_id}' did not finish within {seconds} seconds; it was in step "
        f"'{operation.step}'. What it had made is kept: look at the resource, then try again or delete it.",
    )


def _defect(operation: OperationRow, attempts: int) -> ErrorDetail:
    return ErrorDetail(
        "InternalOperationError",
        f"Step '{operation.step}' failed {attempts} times; the log of Skerry has the cause. Nothing was removed: "
        "try again.",
    )
