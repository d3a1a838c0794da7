"""What a fleet of simulated hosts asks and reports: of many hosts at once, and of what changed only."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import bindparam, func, null, select, text, update

from skerry.hostspec import CheckpointObserved, DiskObserved, HostCapacity, ImageObserved, VmObserved
from skerry.store.sql import Session, Statement, upsert
from skerry.store.tables import host_observed, hosts

_NEXT = select(func.coalesce(func.max(hosts.c.sequence), 0) + 1).scalar_subquery()
_IS_OURS = (hosts.c.id >= bindparam("first")) & (hosts.c.id <= bindparam("last"))

_ADD = Statement(
    text(
        "INSERT INTO hosts (id, revision, applied, seen, sequence) VALUES (:host, 1, 0, 0.0, 0) ON CONFLICT DO NOTHING"
    )
)
_CAPACITY = Statement(
    update(hosts)
    .where(hosts.c.id == bindparam("host"), hosts.c.capacity.is_distinct_from(bindparam("bytes")))
    .values(capacity=bindparam("bytes"), sequence=_NEXT)
)
_RETIRE = Statement(
    update(hosts)
    .where(_IS_OURS, hosts.c.id > bindparam("kept"), hosts.c.capacity.is_not(None))
    .values(capacity=null(), sequence=_NEXT)
)
_BEHIND = Statement(
    select(hosts.c.id, hosts.c.revision, hosts.c.applied)
    .where(hosts.c.revision > hosts.c.applied, _IS_OURS)
    .limit(bindparam("limit"))
)
_CHANGED_SQL = (
    "SELECT s.host, s.kind, s.id, s.spec, o.observed FROM hosts h JOIN host_specs s ON s.host = h.id "
    "LEFT JOIN host_observed o ON o.host = s.host AND o.kind = s.kind AND o.id = s.id "
    "WHERE s.revision > h.applied AND s.kind IN ('vm', 'disk', 'checkpoint') AND h.id "
)
_GONE_SQL = (
    "SELECT o.host, o.id FROM host_observed o WHERE o.kind = 'vm' AND NOT EXISTS "
    "(SELECT 1 FROM host_specs s WHERE s.host = o.host AND s.kind = 'vm' AND s.id = o.id) AND o.host "
)
_LITE, _POSTGRESQL = "IN (SELECT value FROM json_each(:hosts))", "= ANY(:hosts)"
_CHANGED = Statement(text(_CHANGED_SQL + _LITE), postgresql=text(_CHANGED_SQL + _POSTGRESQL))
_GONE = Statement(text(_GONE_SQL + _LITE), postgresql=text(_GONE_SQL + _POSTGRESQL))
_OBSERVE = Statement(upsert(host_observed))
_FORGET = Statement(text("DELETE FROM host_observed WHERE host = :host AND kind = :kind AND id = :id"))
_APPLIED = Statement(text("UPDATE hosts SET applied = :applied, seen = :seen WHERE id = :host"))
_SEEN = Statement(update(hosts).where(_IS_OURS, hosts.c.capacity.is_not(None)).values(seen=bindparam("now")))

Seen = VmObserved | DiskObserved | CheckpointObserved | ImageObserved


class Behind(NamedTuple):
    """A host that has not applied its newest spec."""

    host: str
    revision: int
    applied: int


class Change(NamedTuple):
    """An object of a spec that the host has not applied, and the JSON of what the host reported of it last."""

    host: str
    kind: str
    id: str
    spec: bytes
    seen: bytes | None


class FleetHosts:
    """The hosts whose ids lie between two, those included, as one transaction sees them."""

    def __init__(self, session: Session, first: str, last: str) -> None:
        self._session, self._ours = session, {"first": first, "last": last}

    def enrol(self, capacities: Mapping[str, HostCapacity], images: Sequence[ImageObserved]) -> None:
        """Make hosts known with what they can give and have; those already known keep all else."""
        self._session.many(_ADD, [{"host": host} for host in capacities])
        for host, capacity in capacities.items():
            self._session.run(_CAPACITY, {"host": host, "bytes": msgspec.json.encode(capacity)})
            for image in images:
                self.observe(host, "image", image)

    def retire(self, kept: str) -> None:
        """Place no VM on the hosts after this one any more."""
        self._session.run(_RETIRE, {**self._ours, "kept": kept})

    def behind(self, limit: int) -> Sequence[Behind]:
        """Hosts that have not applied their newest specs."""
        return [Behind(*row) for row in self._session.rows(_BEHIND, {**self._ours, "limit": limit})]

    def changes(self, hosts: Sequence[str]) -> Sequence[Change]:
        """What these hosts have not applied of VMs, disks and checkpoints."""
        rows = self._session.rows(_CHANGED, {"hosts": self._session.array(list(hosts))})
        return [Change(*row) for row in rows]

    def gone(self, hosts: Sequence[str]) -> Sequence[tuple[str, str]]:
        """(host, id) of the VMs that these hosts have and should not."""
        rows = self._session.rows(_GONE, {"hosts": self._session.array(list(hosts))})
        return [(host, identifier) for host, identifier in rows]

    def observe(self, host: str, kind: str, seen: Seen) -> None:
        """A host reports one object."""
        power = seen.power if isinstance(seen, VmObserved) else ""
        values = {"host": host, "kind": kind, "id": seen.id, "observed": msgspec.json.encode(seen), "power": power}
        self._session.run(_OBSERVE, values)

    def forget(self, host: str, kind: str, identifier: str) -> None:
        """A host has an object no more."""
        self._session.run(_FORGET, {"host": host, "kind": kind, "id": identifier})

    def applied(self, behind: Sequence[Behind], now: float) -> None:
        """These hosts have applied their specs."""
        rows = [{"host": host, "applied": revision, "seen": now} for host, revision, _ in behind]
        self._session.many(_APPLIED, rows)

    def heartbeat(self, now: float) -> None:
        """All are there."""
        self._session.run(_SEEN, {**self._ours, "now": now})
