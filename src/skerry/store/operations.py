"""Reading and writing operations, inside one transaction."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple

import orjson
from sqlalchemy import and_, bindparam, case, func, insert, or_, select, text, update

from skerry.store.drivers import Row
from skerry.store.sql import Session, Statement
from skerry.store.tables import operations

Status = Literal["InProgress", "Succeeded", "Failed", "Canceled"]
LONGEST_NAP = 60.0  # seconds
KEPT_SECONDS = 24 * 3600  # how long the result of an ended operation can be asked for
REMOVED = 500  # operations looked at, and removed, at once


class Ended(NamedTuple):
    """An operation that ended. `superseded`: its resource has a newer one, or has gone."""

    ended: float
    id: str
    superseded: bool


@dataclass(frozen=True)
class Origin:
    """On whose behalf a transaction acts: the ids of the request that began it, its caller (upn or app id), and more.

    An operation keeps the first three and hands them on to its steps.
    """

    request_id: str = ""
    correlation_id: str = ""
    caller: str = ""
    app_id: str = ""
    object_id: str = ""
    method: str = ""
    client: str = ""  # the address that it came from
    client_request_id: str = ""


@dataclass
class OperationRow:
    """A durable operation: its next step, and what the steps hand on to each other in `state`.

    `waits_for`: the host whose next report makes it due.
    `correlation_id`, `request_id`, `caller`: of the request that started it. `trace`: the steps taken, oldest first.
    """

    id: str
    kind: str
    target: str
    target_id: str
    step: str
    deadline: float
    state: dict[str, Any] = field(default_factory=dict)
    status: Status = "InProgress"
    error: bytes | None = None
    result: bytes | None = None
    resume_at: float = 0.0
    waits_for: str = ""
    started: float = 0.0
    ended: float | None = None
    correlation_id: str = ""
    request_id: str = ""
    caller: str = ""
    trace: list[Any] = field(default_factory=list)

    @property
    def origin(self) -> Origin:
        """The request that started it."""
        return Origin(self.request_id, self.correlation_id, self.caller)


_FIELDS = [field.name for field in fields(OperationRow)]
_ROWS = select(*(operations.c[name] for name in _FIELDS))
_RUNNING = operations.c.status == "InProgress"
_CHANGING = (
    "step",
    "state",
    "status",
    "error",
    "result",
    "resume_at",
    "waits_for",
    "started",
    "deadline",
    "ended",
    "trace",
)

_GET = Statement(_ROWS.where(operations.c.id == bindparam("id")))
_ADD = Statement(insert(operations))
_SAVE = Statement(text(f"UPDATE operations SET {', '.join(f'{n} = :{n}' for n in _CHANGING)} WHERE id = :id"))
# What is due later than in LONGEST_NAP seconds was put off before the clock was set back: it is due, too.
_IS_DUE = and_(
    _RUNNING, or_(operations.c.resume_at <= bindparam("now"), operations.c.resume_at > bindparam("now") + LONGEST_NAP)
)
_DUE = Statement(select(operations.c.id).where(_IS_DUE).order_by(operations.c.resume_at).limit(bindparam("limit")))
_DUE_OF = Statement(
    _ROWS.where(text("operations.id IN (SELECT value FROM json_each(:ids))"), _IS_DUE).order_by(operations.c.resume_at),
    postgresql=_ROWS.where(text("operations.id = ANY(:ids)"), _IS_DUE).order_by(operations.c.resume_at),
)
_NEXT = Statement(
    select(
        select(func.min(operations.c.resume_at)).where(_RUNNING).scalar_subquery(),
        select(func.max(operations.c.resume_at)).where(_RUNNING).scalar_subquery(),
    )
)
_WAITING = update(operations).where(_RUNNING, operations.c.resume_at > 0).values(resume_at=0.0)
_WAKE_HOST = Statement(_WAITING.where(operations.c.waits_for == bindparam("which")))
_WAKE_HOSTS = Statement(
    _WAITING.where(text("operations.waits_for IN (SELECT value FROM json_each(:hosts))")),
    postgresql=_WAITING.where(text("operations.waits_for = ANY(:hosts)")),
)
_WAKE = Statement(_WAITING.where(operations.c.id == bindparam("which")))
_SHIFT = Statement(
    text(
        "UPDATE operations SET started = started + :seconds, deadline = deadline + :seconds, "
        "resume_at = CASE WHEN resume_at > 0 THEN resume_at + :seconds ELSE 0 END "
        "WHERE status = 'InProgress' AND started <= :before"
    )
)
_ON = Statement(_ROWS.where(operations.c.target == bindparam("target"), _RUNNING))
_RECENT = Statement(_ROWS.order_by(operations.c.started.desc()).limit(bindparam("limit")))
_IN_PROGRESS = Statement(_ROWS.where(_RUNNING).order_by(operations.c.started).limit(bindparam("limit")))
_COUNTS = Statement(
    select(
        operations.c.kind,
        case((operations.c.resume_at <= bindparam("now"), "due"), else_="waiting").label("standing"),
        func.count(),
    )
    .where(_RUNNING)
    .group_by("kind", "standing")  # `state` is a column of the table
)
_LATEST = Statement(
    _ROWS.where(operations.c.target == bindparam("target")).order_by(operations.c.started.desc()).limit(1)
)
_ENDED = Statement(
    text(
        "SELECT o.ended, o.id, "
        "EXISTS (SELECT 1 FROM operations newer WHERE newer.target = o.target AND newer.started > o.started) "
        "OR NOT EXISTS (SELECT 1 FROM resources WHERE resources.key = o.target) "
        "FROM operations o WHERE o.ended < :before AND (o.ended > :after OR (o.ended = :after AND o.id > :after_id)) "
        "ORDER BY o.ended, o.id LIMIT :limit"
    )
)
_REMOVE = Statement(
    text("DELETE FROM operations WHERE id IN (SELECT value FROM json_each(:ids))"),
    postgresql=text("DELETE FROM operations WHERE id = ANY(:ids)"),
)


class Operations:
    """The operations that one transaction sees. `changed` tells after it whether any is newly due."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.changed = False
        self.origin = Origin()
        self.added: set[str] = set()  # the ids of those that this unit of work has begun

    def get(self, identifier: str) -> OperationRow | None:
        """The operation with this id."""
        row = self._session.first(_GET, {"id": identifier})
        return _row(row) if row else None

    def add(self, row: OperationRow) -> None:
        """Store a new operation, begun by this transaction's origin."""
        self.changed = True
        origin = self.origin
        row.request_id, row.correlation_id, row.caller = origin.request_id, origin.correlation_id, origin.caller
        row.started = row.started or time.time()
        self._session.run(_ADD, _values(row))
        self.added.add(row.id)

    def save(self, row: OperationRow) -> None:
        """Store what a step changed. The state of one that has ended is not kept: it may hold secrets."""
        ended = {"state": b"{}"} if row.status != "InProgress" else {}
        self._session.run(_SAVE, {**_values(row), **ended})

    def due(self, now: float, limit: int) -> Sequence[str]:
        """The ids of operations whose next step may run, those that waited longest first."""
        return [identifier for (identifier,) in self._session.rows(_DUE, {"now": now, "limit": limit})]

    def get_due(self, identifiers: Sequence[str], now: float) -> Sequence[OperationRow]:
        """Those of these operations that are due, those that waited longest first."""
        rows = self._session.rows(_DUE_OF, {"ids": self._session.array(list(identifiers)), "now": now})
        return [_row(row) for row in rows]

    def next_resume(self, now: float) -> float | None:
        """When the next operation becomes due (`now` at the latest if one is); None when none is in progress."""
        ((first, last),) = self._session.rows(_NEXT)
        found: float | None = now if last is not None and last > now + LONGEST_NAP else first
        return found

    def wake(self, *, host: str | None = None, identifier: str | None = None) -> int:
        """Make waiting operations due now: those that wait for a host's report, or one by id. Returns how many."""
        woken = self._session.count(_WAKE_HOST if host else _WAKE, {"which": host or identifier})
        self.changed = self.changed or bool(woken)
        return woken

    def wake_hosts(self, hosts: Sequence[str]) -> int:
        """As `wake` for each of these hosts."""
        woken = self._session.count(_WAKE_HOSTS, {"hosts": self._session.array(list(hosts))})
        self.changed = self.changed or bool(woken)
        return woken

    def shift(self, seconds: float, before: float) -> None:
        """The clock was set on: so are the times of the operations that began `before`."""
        self._session.run(_SHIFT, {"seconds": seconds, "before": before})
        self.changed = True

    def running(self, target: str) -> Sequence[OperationRow]:
        """Operations in progress on a resource."""
        return [_row(row) for row in self._session.rows(_ON, {"target": target})]

    def recent(self, limit: int) -> Sequence[OperationRow]:
        """The newest operations, running ones included."""
        return [_row(row) for row in self._session.rows(_RECENT, {"limit": limit})]

    def in_progress(self, limit: int) -> Sequence[OperationRow]:
        """Operations in progress, the oldest first."""
        return [_row(row) for row in self._session.rows(_IN_PROGRESS, {"limit": limit})]

    def counts(self, now: float) -> Mapping[tuple[str, ...], int]:
        """How many are in progress, by kind and state: `due`, or `waiting` for a time or a host's report."""
        return {(kind, state): count for kind, state, count in self._session.rows(_COUNTS, {"now": now})}

    def latest(self, target: str) -> OperationRow | None:
        """The newest operation on a resource."""
        row = self._session.first(_LATEST, {"target": target})
        return _row(row) if row else None

    def ended_before(self, when: float, after: Ended | None = None) -> Sequence[Ended]:
        """Some operations that ended before `when`, in order, those that follow `after` only; all in several calls."""
        last = after or Ended(0.0, "", False)
        values = {"before": when, "after": last.ended, "after_id": last.id, "limit": REMOVED}
        return [Ended(at, name, bool(old)) for at, name, old in self._session.rows(_ENDED, values)]

    def remove(self, identifiers: Sequence[str]) -> None:
        """Forget operations."""
        self._session.run(_REMOVE, {"ids": self._session.array(list(identifiers))})


def _values(row: OperationRow) -> dict[str, Any]:
    return {**row.__dict__, "state": orjson.dumps(row.state), "trace": orjson.dumps(row.trace)}


def _row(row: Row) -> OperationRow:
    found = OperationRow(*row)
    found.state = orjson.loads(row[_STATE])
    found.trace = orjson.loads(row[_TRACE] or b"[]")
    return found


_STATE, _TRACE = _FIELDS.index("state"), _FIELDS.index("trace")
