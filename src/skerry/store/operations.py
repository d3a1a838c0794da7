"""Reading and writing operations, inside one transaction."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, or_, select, update

from skerry.store.tables import operations

Status = Literal["InProgress", "Succeeded", "Failed", "Canceled"]
LONGEST_NAP = 60.0  # seconds
KEPT_SECONDS = 24 * 3600  # how long the result of an ended operation can be asked for


@dataclass(frozen=True)
class Origin:
    """On whose behalf a transaction acts: the ids of the request that began it, and its caller (upn or app id)."""

    request_id: str = ""
    correlation_id: str = ""
    caller: str = ""


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


class Operations:
    """The operations that one transaction sees. `changed` tells after it whether any is newly due."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.changed = False
        self.origin = Origin()

    def get(self, identifier: str) -> OperationRow | None:
        """The operation with this id."""
        row = self._connection.execute(select(operations).where(operations.c.id == identifier)).one_or_none()
        return _row(row) if row else None

    def add(self, row: OperationRow) -> None:
        """Store a new operation, begun by this transaction's origin."""
        self.changed = True
        for name, value in self.origin.__dict__.items():
            setattr(row, name, getattr(row, name) or value)
        row.started = row.started or time.time()
        self._connection.execute(insert(operations).values(_values(row)))

    def save(self, row: OperationRow) -> None:
        """Store what a step changed."""
        self._connection.execute(update(operations).where(operations.c.id == row.id).values(_values(row)))

    def due(self, now: float, limit: int) -> Sequence[str]:
        """The ids of operations whose next step may run, those that waited longest first.

        What is due later than in LONGEST_NAP seconds was put off before the clock was set back: it is due, too.
        """
        query = select(operations.c.id).where(_due(now)).order_by(operations.c.resume_at).limit(limit)
        return [row.id for row in self._connection.execute(query)]

    def get_due(self, identifiers: Sequence[str], now: float) -> Sequence[OperationRow]:
        """Those of these operations that are due, those that waited longest first."""
        query = select(operations).where(operations.c.id.in_(identifiers), _due(now))
        return [_row(row) for row in self._connection.execute(query.order_by(operations.c.resume_at))]

    def next_resume(self, now: float) -> float | None:
        """When the next operation becomes due (`now` at the latest if one is); None when none is in progress."""
        query = select(func.min(operations.c.resume_at), func.max(operations.c.resume_at))
        first, last = self._connection.execute(query.where(operations.c.status == "InProgress")).one()
        return now if last is not None and last > now + LONGEST_NAP else first

    def wake(self, *, host: str | None = None, identifier: str | None = None) -> int:
        """Make waiting operations due now: those that wait for a host's report, or one by id. Returns how many."""
        query = update(operations).where(operations.c.status == "InProgress", operations.c.resume_at > 0)
        query = query.where(operations.c.waits_for == host if host else operations.c.id == identifier)
        woken = self._connection.execute(query.values(resume_at=0.0)).rowcount
        self.changed = self.changed or bool(woken)
        return woken

    def running(self, target: str) -> Sequence[OperationRow]:
        """Operations in progress on a resource."""
        query = select(operations).where(operations.c.target == target, operations.c.status == "InProgress")
        return [_row(row) for row in self._connection.execute(query)]

    def recent(self, limit: int) -> Sequence[OperationRow]:
        """The newest operations, running ones included."""
        query = select(operations).order_by(operations.c.started.desc()).limit(limit)
        return [_row(row) for row in self._connection.execute(query)]

    def forget_old(self, now: float) -> None:
        """Remove operations that ended more than a day ago."""
        old = operations.c.ended < now - KEPT_SECONDS
        self._connection.execute(delete(operations).where(operations.c.status != "InProgress", old))


def _due(now: float) -> ColumnElement[bool]:
    put_off = operations.c.resume_at > now + LONGEST_NAP
    return and_(operations.c.status == "InProgress", or_(operations.c.resume_at <= now, put_off))


def _values(row: OperationRow) -> dict[str, Any]:
    return {**row.__dict__, "state": orjson.dumps(row.state), "trace": orjson.dumps(row.trace)}


def _row(row: Row[Any]) -> OperationRow:
    values = dict(row._mapping)
    values["state"] = orjson.loads(values["state"])
    values["trace"] = orjson.loads(values["trace"] or b"[]")
    return OperationRow(**values)
