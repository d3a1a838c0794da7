"""Hosts: what each one should have (its spec, with a revision) and what it reported, inside one transaction."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
from sqlalchemy import bindparam, case, delete, func, null, select, text, update

from skerry.hostspec import (
    CheckpointObserved,
    CheckpointSpec,
    DiskObserved,
    DiskSpec,
    HostCapacity,
    HostSpec,
    ImageObserved,
    Observed,
    StandbyObserved,
    TemplateSpec,
    VmObserved,
    VmSpec,
    VnetSpec,
    WarmObserved,
)
from skerry.store.resources import beyond
from skerry.store.sql import Session, Statement, upsert
from skerry.store.tables import host_observed, host_specs, hosts

Spec = VmSpec | VnetSpec | DiskSpec | CheckpointSpec | TemplateSpec
Kind = Literal["vm", "vnet", "disk", "checkpoint", "template"]
T = TypeVar("T")
SILENT_SECONDS = 30.0  # a host reports at least every ten
KINDS: dict[type[Any], Kind] = {
    VmSpec: "vm",
    VnetSpec: "vnet",
    DiskSpec: "disk",
    CheckpointSpec: "checkpoint",
    TemplateSpec: "template",
}
Seen = dict[tuple[str, str], Any]  # (kind, id) → what was reported of it

_HOST = hosts.c.id == bindparam("host")
_SPEC = (
    (host_specs.c.host == bindparam("host"))
    & (host_specs.c.kind == bindparam("kind"))
    & (host_specs.c.id == bindparam("object"))
)
_OBSERVED = (
    (host_observed.c.host == bindparam("host"))
    & (host_observed.c.kind == bindparam("kind"))
    & (host_observed.c.id == bindparam("object"))
)
_NEXT = select(func.coalesce(func.max(hosts.c.sequence), 0) + 1).scalar_subquery()

_ADD = Statement(
    text(
        "INSERT INTO hosts (id, revision, applied, seen, sequence) "
        "SELECT :host, 1, 0, 0.0, coalesce(max(sequence), 0) + 1 FROM hosts WHERE true ON CONFLICT (id) DO NOTHING"
    )
)
_NEWEST = Statement(select(func.coalesce(func.max(hosts.c.sequence), 0)))
_USED = Statement(select(func.coalesce(func.sum(hosts.c.used_vcpus), 0)))
_CHANGED = Statement(
    select(hosts.c.id, hosts.c.capacity, hosts.c.used_vcpus, hosts.c.used_memory, hosts.c.sequence)
    .where(hosts.c.sequence > bindparam("sequence"))
    .order_by(hosts.c.sequence)
)
_NAMES = Statement(select(hosts.c.id).order_by(hosts.c.id))
_REVISION = Statement(select(hosts.c.revision).where(_HOST))
_APPLIED = Statement(select(hosts.c.applied).where(_HOST))
_CAPACITY = Statement(select(hosts.c.capacity).where(_HOST))
_GET = Statement(select(host_specs.c.spec).where(_SPEC))
_ALL = Statement(select(host_specs.c.kind, host_specs.c.spec).where(host_specs.c.host == bindparam("host")))
_PUT = Statement(upsert(host_specs))
_DROP = Statement(delete(host_specs).where(_SPEC))
_BUMP = Statement(update(hosts).where(_HOST).values(revision=hosts.c.revision + 1).returning(hosts.c.revision))
_BUMP_USED = Statement(
    update(hosts)
    .where(_HOST)
    .values(
        revision=hosts.c.revision + 1,
        used_vcpus=hosts.c.used_vcpus + bindparam("vcpus"),
        used_memory=hosts.c.used_memory + bindparam("memory"),
        sequence=_NEXT,
    )
    .returning(hosts.c.revision)
)
_POWERS = Statement(
    select(host_observed.c.power, func.count()).where(host_observed.c.kind == "vm").group_by(host_observed.c.power)
)
# A report from the future is from before the clock was set back: nobody knows how old it is.
_IS_SILENT = (hosts.c.seen < bindparam("from")) | (hosts.c.seen > bindparam("to"))
_SILENT = Statement(select(hosts.c.id, hosts.c.seen).where(_IS_SILENT).order_by(hosts.c.id))
_COUNT_SILENT = Statement(select(func.count()).select_from(hosts).where(_IS_SILENT))
_RETIRE = Statement(
    update(hosts)
    .where((hosts.c.id < bindparam("first")) | (hosts.c.id > bindparam("last")), hosts.c.capacity.is_not(None))
    .values(capacity=null(), sequence=_NEXT)
)
_TOTALS = Statement(
    select(
        func.count(), func.coalesce(func.sum(hosts.c.used_vcpus), 0), func.coalesce(func.sum(hosts.c.used_memory), 0)
    )
)
_SEEN_AT = Statement(select(hosts.c.seen).where(_HOST))
_SEEN = Statement(select(hosts.c.seen, hosts.c.applied, hosts.c.capacity).where(_HOST))
_RECORD = Statement(
    update(hosts)
    .where(_HOST)
    .values(
        applied=bindparam("new_applied"),
        capacity=bindparam("new_capacity"),
        seen=bindparam("new_seen"),
        sequence=case((hosts.c.capacity == bindparam("new_capacity"), hosts.c.sequence), else_=_NEXT),
    )
)
_ALL_OBSERVED = Statement(
    select(host_observed.c.kind, host_observed.c.id, host_observed.c.observed).where(
        host_observed.c.host == bindparam("host")
    )
)
_ONE_OBSERVED = Statement(select(host_observed.c.observed).where(_OBSERVED))
_OBSERVE = Statement(upsert(host_observed))
_FORGET = Statement(delete(host_observed).where(_OBSERVED))
_WARM = Statement(
    select(host_observed.c.host, host_observed.c.observed)
    .where(host_observed.c.kind == "warm")
    .order_by(host_observed.c.host)
)
_STANDBYS = Statement(
    select(host_observed.c.observed)
    .where(
        host_observed.c.kind == "standby", host_observed.c.id > bindparam("from"), host_observed.c.id < bindparam("to")
    )
    .order_by(host_observed.c.id)
)
_COUNT_STANDBYS = Statement(select(func.count()).select_from(host_observed).where(host_observed.c.kind == "standby"))
# The images' ids one after the other by the index, then one row for each: a thousand hosts report the same ones.
_IMAGES = Statement(
    text(
        "WITH RECURSIVE ids(id) AS ("
        "SELECT min(id) FROM host_observed WHERE kind = 'image' UNION ALL "
        "SELECT (SELECT min(o.id) FROM host_observed o WHERE o.kind = 'image' AND o.id > ids.id) "
        "FROM ids WHERE ids.id IS NOT NULL) "
        "SELECT (SELECT o.observed FROM host_observed o WHERE o.kind = 'image' AND o.id = ids.id LIMIT 1) "
        "FROM ids WHERE ids.id IS NOT NULL"
    )
)


class HostRow(NamedTuple):
    """What placement needs of a host. `capacity`: JSON of a HostCapacity, None before its first report."""

    id: str
    capacity: bytes | None
    used_vcpus: int
    used_memory: int
    sequence: int


class _Report(NamedTuple):
    """What is stored of a host's last report; `at`: when, as the host's row says it."""

    at: float
    revision: int
    capacity: HostCapacity | None
    seen: Seen


class LastReports:
    """Each host's last report, so that the next one is compared without reading it back.

    It counts only if the host's row has the very time: another control plane may have stored one since, or this one's
    transaction may have failed.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Report] = {}

    def get(self, host: str, at: float) -> _Report | None:
        """The report that was stored at this time, if it is the one known."""
        found = self._known.get(host)
        return found if found is not None and found.at == at else None

    def put(self, host: str, report: _Report) -> None:
        """Remember what is being stored."""
        self._known[host] = report


class Hosts:
    """The hosts that one transaction sees. `changed` tells after it whether any spec got a new revision."""

    def __init__(self, session: Session, reports: LastReports) -> None:
        self._session, self._reports = session, reports
        self.changed = False
        # Another unit of work in the same transaction may have been a host's report, which has applied these.
        session.known.revisions.clear()

    def add(self, host: str) -> None:
        """Make the host known. Safe to repeat."""
        self._session.run(_ADD, {"host": host})

    def names(self) -> Sequence[str]:
        """All hosts."""
        return [name for (name,) in self._session.rows(_NAMES)]

    def newest(self) -> int:
        """The sequence number of the last change of what a host can give or what is used of it."""
        row = self._session.first(_NEWEST)
        return int(row[0]) if row else 0

    def used_vcpus(self) -> int:
        """The vCPUs of all VMs that are on hosts."""
        ((used,),) = self._session.rows(_USED)
        return int(used)

    def changed_after(self, sequence: int) -> Sequence[HostRow]:
        """The hosts that changed in this regard after that one, the newest last."""
        return [HostRow(*row) for row in self._session.rows(_CHANGED, {"sequence": sequence})]

    def revision(self, host: str) -> int:
        """The revision of the host's spec."""
        return int(self._one(_REVISION, host))

    def applied(self, host: str) -> int:
        """The revision whose network and disk part the agent has applied."""
        return int(self._one(_APPLIED, host))

    def capacity(self, host: str) -> HostCapacity | None:
        """What the host can give; None before its first report."""
        text = self._one(_CAPACITY, host)
        return msgspec.json.decode(text, type=HostCapacity) if text else None

    def _one(self, statement: Statement, host: str) -> Any:
        row = self._session.first(statement, {"host": host})
        if row is None:
            raise LookupError(f"There is no host '{host}'.")
        return row[0]

    def put(self, host: str, spec: Spec) -> int:
        """Want this object on the host. Returns the spec revision that has it (unchanged: the present one)."""
        kind, text = KINDS[type(spec)], msgspec.json.encode(spec)
        stored = self._spec(host, kind, spec.id)
        if stored == text:
            return self.revision(host)
        revision = self._bump(host, stored if kind == "vm" else None, spec)
        values = {"host": host, "kind": kind, "id": spec.id, "spec": text, "revision": revision}
        self._session.run(_PUT, values)
        self._session.known.specs[host, kind, spec.id] = text
        return revision

    def drop(self, host: str, kind: Kind, identifier: str) -> int:
        """Want this object no longer. Returns the spec revision without it."""
        stored = self._spec(host, kind, identifier)
        if stored is None:
            return self.revision(host)
        self._session.run(_DROP, {"host": host, "kind": kind, "object": identifier})
        self._session.known.specs[host, kind, identifier] = None
        return self._bump(host, stored if kind == "vm" else None, None)

    def _bump(self, host: str, before: bytes | None, after: Spec | None) -> int:
        """A new revision, and what is used of the host when a VM's size came, changed or went."""
        self.changed = True
        old = msgspec.json.decode(before, type=VmSpec) if before else None
        new = after if isinstance(after, VmSpec) else None
        vcpus = (new.vcpus if new else 0) - (old.vcpus if old else 0)
        memory = (new.memory_bytes if new else 0) - (old.memory_bytes if old else 0)
        revisions = self._session.known.revisions
        if vcpus or memory:
            rows = self._session.returning(_BUMP_USED, {"host": host, "vcpus": vcpus, "memory": memory})
        elif host in revisions:  # nobody has seen it without this
            return revisions[host]
        else:
            rows = self._session.returning(_BUMP, {"host": host})
        if not rows:
            raise LookupError(f"There is no host '{host}'.")
        revisions[host] = int(rows[0][0])
        return revisions[host]

    def _spec(self, host: str, kind: Kind, identifier: str) -> bytes | None:
        known, key = self._session.known.specs, (host, kind, identifier)
        if key not in known:
            row = self._session.first(_GET, {"host": host, "kind": kind, "object": identifier})
            known[key] = row[0] if row else None
        return known[key]

    def get(self, host: str, model: type[T], identifier: str) -> T | None:
        """One object of the spec."""
        text = self._spec(host, KINDS[model], identifier)
        return msgspec.json.decode(text, type=model) if text else None

    def spec(self, host: str) -> HostSpec:
        """The whole desired spec of the host."""
        rows = self._session.rows(_ALL, {"host": host})

        def of(kind: Kind, model: type[T]) -> tuple[T, ...]:
            return tuple(msgspec.json.decode(text, type=model) for found, text in rows if found == kind)

        disks, checkpoints = of("disk", DiskSpec), of("checkpoint", CheckpointSpec)
        templates = of("template", TemplateSpec)
        return HostSpec(self.revision(host), of("vm", VmSpec), of("vnet", VnetSpec), disks, checkpoints, templates)

    def record(self, host: str, report: Observed) -> bool:
        """Store what changed since the host's last report; True when anything but the time did."""
        before = self._last(host)
        found = _seen_in(report)
        gone = before.seen.keys() - found.keys()
        news = {key: value for key, value in found.items() if before.seen.get(key) != value}
        for kind, identifier in gone:
            self._session.run(_FORGET, {"host": host, "kind": kind, "object": identifier})
        self._session.many(_OBSERVE, [_observed(host, key, value) for key, value in news.items()])
        stored = _Report(time.time(), report.revision, report.capacity, found)
        values = {"new_applied": stored.revision, "new_seen": stored.at}
        self._session.run(_RECORD, {"host": host, "new_capacity": msgspec.json.encode(stored.capacity), **values})
        self._reports.put(host, stored)
        return bool(gone or news or before[1:3] != stored[1:3])

    def _last(self, host: str) -> _Report:
        row = self._session.first(_SEEN, {"host": host})
        if row is None:
            raise LookupError(f"There is no host '{host}'.")
        at, applied, text = row
        known = self._reports.get(host, at)
        if known is not None:
            return known
        capacity = msgspec.json.decode(text, type=HostCapacity) if text else None
        rows = self._session.rows(_ALL_OBSERVED, {"host": host})
        seen = {(kind, key): msgspec.json.decode(text, type=_MODELS[kind]) for kind, key, text in rows}
        return _Report(at, applied, capacity, seen)

    def vm(self, host: str, identifier: str) -> VmObserved | None:
        """What the host last said of a VM."""
        return self._observed(host, "vm", identifier, VmObserved)

    def disk(self, host: str, identifier: str) -> DiskObserved | None:
        """What the host last said of a disk."""
        return self._observed(host, "disk", identifier, DiskObserved)

    def checkpoint(self, host: str, identifier: str) -> CheckpointObserved | None:
        """What the host last said of a checkpoint."""
        return self._observed(host, "checkpoint", identifier, CheckpointObserved)

    def problem(self, host: str, kind: str, identifier: str) -> str | None:
        """Why the host can't converge one object, if it can't."""
        found = self._observed(host, "problem", f"{kind}:{identifier}", tuple[str, str, str])
        return found[2] if found else None

    def powers(self) -> Mapping[tuple[str, ...], int]:
        """How many VMs there are by the power state that their hosts last reported."""
        return {(power,): count for power, count in self._session.rows(_POWERS)}

    def totals(self) -> tuple[int, int, int]:
        """How many hosts there are, and how many vCPUs and bytes of memory the VMs take that are placed on them."""
        ((count, vcpus, memory),) = self._session.rows(_TOTALS)
        return int(count), int(vcpus), int(memory)

    def seen(self, host: str) -> float:
        """When the host last reported; 0: never, or there is no such host."""
        row = self._session.first(_SEEN_AT, {"host": host})
        return float(row[0]) if row else 0.0

    def silent(self, now: float) -> Mapping[str, float]:
        """The hosts that have not reported for SILENT_SECONDS, by id, with when they did; 0: never."""
        return dict(self._session.rows(_SILENT, _lately(now)))

    def count_silent(self, now: float) -> int:
        """How many these are."""
        ((count,),) = self._session.rows(_COUNT_SILENT, _lately(now))
        return int(count)

    def retire_others(self, first: str, last: str) -> None:
        """Place no VM any more on hosts whose ids don't lie between these two: whoever worked for them doesn't run."""
        self._session.run(_RETIRE, {"first": first, "last": last})

    def image(self, host: str, identifier: str) -> ImageObserved | None:
        """An image that the host has."""
        return self._observed(host, "image", identifier, ImageObserved)

    def images(self) -> Sequence[ImageObserved]:
        """The images that any host has, by id."""
        return [msgspec.json.decode(text, type=ImageObserved) for (text,) in self._session.rows(_IMAGES)]

    def warm(self) -> Mapping[str, WarmObserved]:
        """The templates of each host where warm starts are on."""
        return {host: msgspec.json.decode(text, type=WarmObserved) for host, text in self._session.rows(_WARM)}

    def standbys(self, template: str) -> Sequence[str]:
        """The vmIds of machines that stand by on any host, for VMs that a template is for."""
        rows = self._session.rows(_STANDBYS, {"from": (prefix := f"{template}/"), "to": beyond(prefix)})
        return [msgspec.json.decode(text, type=StandbyObserved).vm for (text,) in rows]

    def count_standbys(self) -> int:
        """How many machines stand by on all hosts."""
        ((count,),) = self._session.rows(_COUNT_STANDBYS)
        return int(count)

    def _observed(self, host: str, kind: str, identifier: str, model: type[T]) -> T | None:
        row = self._session.first(_ONE_OBSERVED, {"host": host, "kind": kind, "object": identifier})
        return msgspec.json.decode(row[0], type=model) if row else None


_MODELS: dict[str, Any] = {
    "vm": VmObserved,
    "disk": DiskObserved,
    "checkpoint": CheckpointObserved,
    "image": ImageObserved,
    "problem": tuple[str, str, str],
    "warm": WarmObserved,
    "standby": StandbyObserved,
}


def _lately(now: float) -> dict[str, float]:
    return {"from": now - SILENT_SECONDS, "to": now + SILENT_SECONDS}


def _seen_in(report: Observed) -> Seen:
    return {
        **{("vm", vm.id): vm for vm in report.vms},
        **{("disk", disk.id): disk for disk in report.disks},
        **{("checkpoint", checkpoint.id): checkpoint for checkpoint in report.checkpoints},
        **{("image", image.id): image for image in report.images},
        **{("problem", f"{kind}:{name}"): (kind, name, message) for kind, name, message in report.problems},
        **({("warm", "warm"): report.warm} if report.warm else {}),
        **{("standby", f"{one.template}/{one.vm}"): one for one in report.standbys},
    }


def _observed(host: str, key: tuple[str, str], value: Any) -> dict[str, Any]:
    power = value.power if isinstance(value, VmObserved) else ""
    return {"host": host, "kind": key[0], "id": key[1], "observed": msgspec.json.encode(value), "power": power}
