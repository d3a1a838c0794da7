"""The activity log's rows: who did what, written in the transaction that did it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from sqlalchemy import and_, bindparam, insert, or_, select, text

from skerry.store.sql import Session, Statement
from skerry.store.tables import activity

KEPT_SECONDS = 90 * 24 * 3600.0
KEPT_EVENTS = 250_000
BATCH = 500  # rows removed in one transaction: other writers wait for it


@dataclass(frozen=True)
class ActivityRow:
    """One event. `resource` and `group_key` are keys (ids in lower case), `event` JSON that only its writer reads.

    `caller` and `status` are in lower case.
    """

    id: str
    at: float
    resource: str
    group_key: str
    correlation_id: str
    caller: str
    status: str
    event: bytes


@dataclass(frozen=True)
class Window:
    """Which events: those from `since` to `until` (seconds), and of one group, resource … if named.

    Without an end also those from the future: they are from before the clock was set back.
    """

    since: float
    until: float | None = None
    group: str | None = None
    resource: str | None = None
    correlation: str | None = None
    caller: str | None = None
    status: str | None = None


_NAMES = [field.name for field in fields(ActivityRow)]
_ROWS = select(*(activity.c[name] for name in _NAMES))
_GET = Statement(_ROWS.where(activity.c.id == bindparam("id")))
_ADD = Statement(insert(activity))
_CROWDED = Statement(select(activity.c.at).order_by(activity.c.at.desc()).offset(bindparam("keep")).limit(1))
_OLDER = Statement(
    select(activity.c.id).where(activity.c.at < bindparam("before")).order_by(activity.c.at).limit(bindparam("limit"))
)
_REMOVE = Statement(
    text("DELETE FROM activity WHERE id IN (SELECT value FROM json_each(:ids))"),
    postgresql=text("DELETE FROM activity WHERE id = ANY(:ids)"),
)


class Activity:
    """The activity log that one transaction sees."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, row: ActivityRow) -> None:
        """Store a new event."""
        self._session.run(_ADD, row.__dict__)

    def get(self, identifier: str) -> ActivityRow | None:
        """The event with this id."""
        row = self._session.first(_GET, {"id": identifier})
        return ActivityRow(*row) if row else None

    def list(self, window: Window, limit: int, after: tuple[float, str] | None = None) -> Sequence[ActivityRow]:
        """Events, newest first, those that follow `after` (a row's `at` and `id`) only."""
        query = _ROWS.where(activity.c.at >= window.since)
        if window.until is not None:
            query = query.where(activity.c.at <= window.until)
        named = {
            "group_key": window.group,
            "resource": window.resource,
            "correlation_id": window.correlation,
            "caller": window.caller,
            "status": window.status,
        }
        for column, value in named.items():
            if value is not None:
                query = query.where(activity.c[column] == value)
        if after is not None:
            at, identifier = after
            older = or_(activity.c.at < at, and_(activity.c.at == at, activity.c.id < identifier))
            query = query.where(activity.c.at <= at, older)
        query = query.order_by(activity.c.at.desc(), activity.c.id.desc()).limit(limit)
        return [ActivityRow(*row) for row in self._session.connection.execute(query)]

    def oldest_kept(self, now: float, keep: int = KEPT_EVENTS) -> float:
        """The time before which events may go: older than 90 days, or with `keep` newer ones."""
        crowded = self._session.first(_CROWDED, {"keep": keep})
        # The event at that place is itself one too many, and so are those of the same moment.
        return max(now - KEPT_SECONDS, crowded[0] + 1e-6 if crowded else 0.0)

    def older(self, before: float) -> Sequence[str]:
        """The ids of some events older than `before`, the oldest first."""
        return [name for (name,) in self._session.rows(_OLDER, {"before": before, "limit": BATCH})]

    def remove(self, identifiers: Sequence[str]) -> None:
        """Forget events."""
        self._session.run(_REMOVE, {"ids": self._session.array([*identifiers])})
