"""What the activity log gets: who did what to which resource, and how it ended.

    PUT, PATCH, DELETE, POST ──▶ Succeeded                              without an operation
                             └─▶ Accepted ──▶ Succeeded, Failed, Canceled  with one, at its end
                             └─▶ Failed                                 refused

An event is written in the transaction that does what it tells; a refusal, which takes its transaction back, in one
of its own. No event holds a request's body.
Source: https://learn.microsoft.com/azure/azure-monitor/platform/activity-log-schema#administrative-category
"""

import threading
import time
import uuid
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from skerry.arm.errors import ArmError, ErrorDetail
from skerry.arm.ids import ResourceId, parse_id
from skerry.arm.registry import GROUP_TYPE, Registry
from skerry.arm.requests import ArmRequest
from skerry.store import OperationRow, Origin, Store, UnitOfWork
from skerry.store.activity import ActivityRow

log = structlog.get_logger()

# A flood of bad requests can neither fill the disk nor push what was done out of the log.
REFUSALS_AT_ONCE = 200
REFUSALS_PER_SECOND = 0.2
LONGEST_ID = 1024
_LONGEST_TEXT = 1000
_MOST_DETAILS = 5
_VERBS = {"PUT": "write", "PATCH": "write", "DELETE": "delete"}


class Event(Struct, omit_defaults=True):
    """One event as it is stored.

    `action`: `Microsoft.Compute/virtualMachines/write`. `resource`: the id as written. `code`: the HTTP status of the
    answer, or how the operation ended. `operation`: shared by the events of one request. `steps`: an operation's trace.
    `started`: how a machine started, and when, as its operation tells it. `left_out`: refusals that were not logged
    since the last one that was.
    """

    action: str
    resource: str
    status: str
    code: int
    operation: str
    origin: Origin
    error: ErrorDetail | None = None
    seconds: float | None = None
    steps: list[Any] = []
    started: dict[str, Any] = {}
    left_out: int = 0


def accepted(work: UnitOfWork, resource: ResourceId, action: str, code: int, operation: OperationRow | None) -> None:
    """Log that a request did something, or that `operation` goes on doing it; a delete joined by another once only."""
    if operation and operation.id not in work.operations.added and work.activity.get(operation.id):
        return
    status = "Accepted" if operation else "Succeeded"
    shared = operation.id if operation else work.origin.request_id or str(uuid.uuid4())
    event = Event(action, str(resource), status, code, shared, work.origin)
    _add(work, event, operation.id if operation else str(uuid.uuid4()))


def ended(work: UnitOfWork, operation: OperationRow) -> None:
    """Log how an operation ended that a request has begun."""
    row = work.activity.get(operation.id)
    if row is None:
        return
    event = msgspec.json.decode(row.event, type=Event)
    event.status = operation.status
    event.code = {"Succeeded": 200, "Failed": 409}.get(operation.status, 0)
    event.error = _bounded(msgspec.json.decode(operation.error, type=ErrorDetail)) if operation.error else None
    event.seconds = round((operation.ended or time.time()) - operation.started, 3)
    event.steps = operation.trace
    event.started = operation.state.get("started", {})
    _add(work, event, str(uuid.uuid4()))


class Refusals:
    """Logs the writes that were refused, up to a rate."""

    def __init__(self, store: Store, registry: Registry, subscription: str) -> None:
        self._store, self._registry, self._subscription = store, registry, subscription.lower()
        self._lock = threading.Lock()
        self._left, self._since, self._left_out = float(REFUSALS_AT_ONCE), time.monotonic(), 0

    def log(self, request: ArmRequest, error: ArmError) -> None:
        """Log a refused request if it would have changed something. Never raises: the refusal is the answer."""
        meant = _meant(request, self._registry)
        if meant is None or meant[0].subscription.lower() != self._subscription or not self._allowed():
            return
        resource, type_name, verb = meant
        event = Event(
            action_name(type_name, verb), str(resource), "Failed", error.status, request.request_id, request.origin
        )
        event.error = _bounded(error.detail)
        event.left_out = self._taken()
        try:
            with self._store.write() as work:
                _add(work, event, str(uuid.uuid4()))
        except Exception:
            log.exception("a refusal could not be put into the activity log")

    def _allowed(self) -> bool:
        with self._lock:
            now = time.monotonic()
            refilled = self._left + (now - self._since) * REFUSALS_PER_SECOND
            self._left, self._since = min(refilled, REFUSALS_AT_ONCE), now
            if self._left < 1:
                self._left_out += 1
                return False
            self._left -= 1
            return True

    def _taken(self) -> int:
        with self._lock:
            left_out, self._left_out = self._left_out, 0
            return left_out


def action_name(type_name: str, verb: str) -> str:
    """Azure's `operationName`, where a group is a part of its subscription. `verb`: write, delete, start/action …"""
    shown = "Microsoft.Resources/subscriptions/resourceGroups" if type_name == GROUP_TYPE else type_name
    return f"{shown}/{verb}"


def _meant(request: ArmRequest, registry: Registry) -> tuple[ResourceId, str, str] | None:
    """The resource, type and verb of a request that writes; None for one that names no resource of a known type."""
    parts, verb = request.segments, _VERBS.get(request.method)
    if request.method == "POST" and len(parts) > 4:
        parts, verb = parts[:-1], f"{parts[-1]}/action"
    try:
        resource = parse_id("/" + "/".join(parts))
    except ArmError:
        return None
    kind = registry.types.get(resource.type.lower())
    if verb is None or kind is None or len(str(resource)) + len(verb) > LONGEST_ID:
        return None
    return resource, kind.name, verb


def _bounded(detail: ErrorDetail) -> ErrorDetail:
    inner = [_bounded(ErrorDetail(d.code, d.message, d.target)) for d in detail.details[:_MOST_DETAILS]]
    return ErrorDetail(detail.code[:100], detail.message[:_LONGEST_TEXT], (detail.target or "")[:200] or None, inner)


def _add(work: UnitOfWork, event: Event, identifier: str) -> None:
    resource = parse_id(event.resource)
    work.activity.add(
        ActivityRow(
            identifier,
            time.time(),
            resource.key,
            resource.group_id.key,
            event.origin.correlation_id,
            event.origin.caller.lower(),
            event.status.lower(),
            msgspec.json.encode(event),
        )
    )
