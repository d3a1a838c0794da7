"""Runs durable operations: takes what is due, runs one step in one transaction, stores what comes next."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog

from skerry.arm.body import encode
from skerry.arm.errors import ArmError, ErrorDetail
from skerry.arm.rows import set_state
from skerry.arm.service import ResourceService
from skerry.engine.steps import Done, Hop, Nap, OperationKind, Outcome, StepContext
from skerry.store import OperationRow, Store, UnitOfWork

log = structlog.get_logger()

WORKERS = 4
MAX_ATTEMPTS = 8  # at a step that raises what it shouldn't
IDLE_SECONDS = 60.0


class Engine:
    """One per control plane. `start()` runs it in threads of its own; `run_due()` runs it in the caller's."""

    def __init__(self, store: Store, service: ResourceService, kinds: Mapping[str, OperationKind]) -> None:
        self._store, self._service, self._kinds = store, service, kinds
        self._wake = threading.Event()
        self._stopping = False
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="engine")
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
        self._pool.shutdown()

    def wake(self) -> None:
        """Look for due operations now."""
        self._wake.set()

    def run_due(self) -> int:
        """Run everything that is due until it naps or ends. Returns how many operations were looked at."""
        identifiers = self._due()
        for identifier in identifiers:
            self._run(identifier)
        return len(identifiers)

    def _due(self) -> list[str]:
        with self._store.read() as work:
            due = work.operations.due(time.time(), 256)
        with self._lock:
            return [identifier for identifier in due if identifier not in self._busy]

    def _loop(self) -> None:
        last_tidied = 0.0
        while not self._stopping:
            self._wake.clear()
            for identifier in self._due():
                with self._lock:
                    self._busy.add(identifier)
                self._pool.submit(self._run, identifier)
            if time.time() - last_tidied > 3600:
                last_tidied = time.time()
                self._tidy()
            self._wake.wait(self._pause())

    def _pause(self) -> float:
        with self._store.read() as work:
            resume = work.operations.next_resume()
        if resume is None:
            return IDLE_SECONDS
        return min(max(resume - time.time(), 0.02), IDLE_SECONDS)

    def _tidy(self) -> None:
        with self._store.write() as work:
            work.operations.forget_old(time.time())

    def _run(self, identifier: str) -> None:
        try:
            while not self._stopping and self.step(identifier):
                pass
        except Exception:
            log.exception("operation step failed", operation=identifier)
            with suppress(Exception):
                self._postpone(identifier)
        finally:
            with self._lock:
                self._busy.discard(identifier)
            self._wake.set()

    def _postpone(self, identifier: str) -> None:
        """A step raised what it shouldn't: try again later, and in the end fail with a cause."""
        with self._store.write() as work:
            operation = work.operations.get(identifier)
            if operation is None or operation.status != "InProgress":
                return
            attempts = operation.state.get("attempts", 0) + 1
            operation.state["attempts"] = attempts
            operation.resume_at = time.time() + min(2**attempts * 0.1, 30)
            row = work.resources.get(operation.target)
            if attempts >= MAX_ATTEMPTS and row is not None:
                detail = ErrorDetail(
                    "InternalOperationError",
                    f"Step '{operation.step}' failed {attempts} times; "
                    "the log of Skerry has the cause. Nothing was removed: try again.",
                )
                context = StepContext(work, operation, row, self._service, time.time())
                self._fail(context, self._kinds[operation.kind], detail)
            work.operations.save(operation)

    def step(self, identifier: str) -> bool:
        """Run one step in one transaction. True when the next one may follow at once."""
        with self._store.write() as work:
            operation = work.operations.get(identifier)
            if operation is None or operation.status != "InProgress":
                return False
            work.origin = operation.origin
            goes_on = self._step(work, operation)
            work.operations.save(operation)
            waiter = operation.state.get("waiter")
            if waiter and operation.status != "InProgress":
                work.operations.wake(identifier=waiter)
        return goes_on

    def _step(self, work: UnitOfWork, operation: OperationRow) -> bool:
        row, kind = work.resources.get(operation.target), self._kinds[operation.kind]
        if row is None or (kind.owns and row.operation != operation.id):
            _end(operation, "Canceled", _preempted(operation))
            return False
        context = StepContext(work, operation, row, self._service, time.time())
        if context.now > operation.deadline:
            self._fail(context, kind, kind.timed_out(context) if kind.timed_out else _too_late(operation))
            return False
        try:
            with work.connection.begin_nested():
                outcome = kind.steps[operation.step](context)
        except ArmError as error:
            self._fail(context, kind, error.detail)
            return False
        return self._follow(context, outcome)

    def _follow(self, context: StepContext, outcome: Outcome) -> bool:
        operation = context.operation
        if isinstance(outcome, Hop):
            operation.step, operation.resume_at, operation.on_report = outcome.step, 0.0, False
            operation.state.pop("attempts", None)
            return True
        if isinstance(outcome, Nap):
            operation.resume_at, operation.on_report = context.now + outcome.seconds, outcome.on_report
            return False
        assert isinstance(outcome, Done)
        operation.result = outcome.result
        _end(operation, "Succeeded")
        self._release(context)
        return False

    def _fail(self, context: StepContext, kind: OperationKind, detail: ErrorDetail) -> None:
        log.info("operation failed", operation=context.operation.id, kind=kind.name, code=detail.code)
        fresh = context.work.resources.get(context.operation.target)
        if fresh is not None:
            context.row = fresh
        kind.on_failure(context, detail)
        _end(context.operation, "Failed", detail)
        self._release(context, detail if kind.fails_resource else None)

    def _release(self, context: StepContext, failure: ErrorDetail | None = None) -> None:
        """The operation owns its resource no longer."""
        row = context.work.resources.get(context.operation.target)
        if row is None or row.operation != context.operation.id:
            return
        row.operation = ""
        row.private.pop("failure", None)
        if failure is not None:
            set_state(row, "Failed")
            row.private["failure"] = {"code": failure.code, "message": failure.message}
        context.work.resources.save(row)


def _end(operation: OperationRow, status: str, error: ErrorDetail | None = None) -> None:
    assert status in {"Succeeded", "Failed", "Canceled"}
    operation.status = status  # type: ignore[assignment]
    operation.ended = time.time()
    operation.on_report = False
    operation.error = encode(error) if error else None


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
