"""Hosts: what each one should have (its spec, with a revision) and what it reported, inside one transaction."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from skerry.hostspec import (
    DiskObserved,
    DiskSpec,
    HostCapacity,
    HostSpec,
    ImageObserved,
    Observed,
    VmObserved,
    VmSpec,
    VnetSpec,
)
from skerry.store.tables import host_observed, host_specs, hosts

Spec = VmSpec | VnetSpec | DiskSpec
Kind = Literal["vm", "vnet", "disk"]
T = TypeVar("T")
KINDS: dict[type[Any], Kind] = {VmSpec: "vm", VnetSpec: "vnet", DiskSpec: "disk"}


class Hosts:
    """The hosts that one transaction sees. `changed` tells after it whether any spec got a new revision."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.changed = False

    def add(self, host: str) -> None:
        """Make the host known. Safe to repeat."""
        if self._connection.execute(select(hosts.c.id).where(hosts.c.id == host)).one_or_none() is None:
            self._connection.execute(insert(hosts).values(id=host, revision=1))

    def names(self) -> Sequence[str]:
        """All hosts."""
        return [row.id for row in self._connection.execute(select(hosts.c.id).order_by(hosts.c.id))]

    def revision(self, host: str) -> int:
        """The revision of the host's spec."""
        return int(self._connection.execute(select(hosts.c.revision).where(hosts.c.id == host)).scalar_one())

    def applied(self, host: str) -> int:
        """The revision whose network and disk part the agent has applied."""
        return int(self._connection.execute(select(hosts.c.applied).where(hosts.c.id == host)).scalar_one())

    def capacity(self, host: str) -> HostCapacity | None:
        """What the host can give; None before its first report."""
        text = self._connection.execute(select(hosts.c.capacity).where(hosts.c.id == host)).scalar_one_or_none()
        return msgspec.json.decode(text, type=HostCapacity) if text else None

    def put(self, host: str, spec: Spec) -> int:
        """Want this object on the host. Returns the spec revision that has it (unchanged: the present one)."""
        kind, text = KINDS[type(spec)], msgspec.json.encode(spec)
        where = _is(host_specs, host, kind, spec.id)
        stored = self._connection.execute(select(host_specs.c.spec).where(*where)).scalar_one_or_none()
        if stored == text:
            return self.revision(host)
        if stored is None:
            self._connection.execute(insert(host_specs).values(host=host, kind=kind, id=spec.id, spec=text))
        else:
            self._connection.execute(update(host_specs).where(*where).values(spec=text))
        return self._bump(host)

    def drop(self, host: str, kind: Kind, identifier: str) -> int:
        """Want this object no longer. Returns the spec revision without it."""
        done = self._connection.execute(delete(host_specs).where(*_is(host_specs, host, kind, identifier)))
        return self._bump(host) if done.rowcount else self.revision(host)

    def get(self, host: str, model: type[T], identifier: str) -> T | None:
        """One object of the spec."""
        where = _is(host_specs, host, KINDS[model], identifier)
        text = self._connection.execute(select(host_specs.c.spec).where(*where)).scalar_one_or_none()
        return msgspec.json.decode(text, type=model) if text else None

    def spec(self, host: str) -> HostSpec:
        """The whole desired spec of the host."""
        rows = self._connection.execute(select(host_specs).where(host_specs.c.host == host)).all()

        def of(kind: Kind, model: type[T]) -> tuple[T, ...]:
            return tuple(msgspec.json.decode(r.spec, type=model) for r in rows if r.kind == kind)

        return HostSpec(self.revision(host), of("vm", VmSpec), of("vnet", VnetSpec), of("disk", DiskSpec))

    def _bump(self, host: str) -> int:
        self.changed = True
        self._connection.execute(update(hosts).where(hosts.c.id == host).values(revision=hosts.c.revision + 1))
        return self.revision(host)

    def record(self, host: str, report: Observed) -> bool:
        """Store a report; True when anything but the time differs from the last one."""
        found = {
            **{("vm", vm.id): msgspec.json.encode(vm) for vm in report.vms},
            **{("disk", disk.id): msgspec.json.encode(disk) for disk in report.disks},
            **{("image", image.id): msgspec.json.encode(image) for image in report.images},
            **{("problem", f"{k}:{i}"): msgspec.json.encode((k, i, m)) for k, i, m in report.problems},
        }
        stored = {
            (row.kind, row.id): row.observed
            for row in self._connection.execute(select(host_observed).where(host_observed.c.host == host))
        }
        self._remove_observed(host, stored.keys() - found.keys())
        self._write_observed(host, {key: text for key, text in found.items() if stored.get(key) != text})
        capacity = msgspec.json.encode(report.capacity)
        before = self._connection.execute(select(hosts).where(hosts.c.id == host)).one()
        self._connection.execute(
            update(hosts).where(hosts.c.id == host).values(applied=report.revision, capacity=capacity, seen=time.time())
        )
        return bool(stored != found or before.applied != report.revision or before.capacity != capacity)

    def _remove_observed(self, host: str, keys: Iterable[tuple[str, str]]) -> None:
        for kind, identifier in keys:
            self._connection.execute(delete(host_observed).where(*_is(host_observed, host, kind, identifier)))

    def _write_observed(self, host: str, found: dict[tuple[str, str], bytes]) -> None:
        self._remove_observed(host, found.keys())
        rows = [{"host": host, "kind": kind, "id": key, "observed": text} for (kind, key), text in found.items()]
        if rows:
            self._connection.execute(insert(host_observed), rows)

    def vm(self, host: str, identifier: str) -> VmObserved | None:
        """What the host last said of a VM."""
        return self._observed(host, "vm", identifier, VmObserved)

    def disk(self, host: str, identifier: str) -> DiskObserved | None:
        """What the host last said of a disk."""
        return self._observed(host, "disk", identifier, DiskObserved)

    def problem(self, host: str, kind: str, identifier: str) -> str | None:
        """Why the host can't converge one object, if it can't."""
        found = self._observed(host, "problem", f"{kind}:{identifier}", tuple[str, str, str])
        return found[2] if found else None

    def images(self) -> Sequence[ImageObserved]:
        """The images that any host has, by id."""
        query = select(host_observed.c.observed).where(host_observed.c.kind == "image").order_by(host_observed.c.id)
        found = [msgspec.json.decode(text, type=ImageObserved) for text in self._connection.execute(query).scalars()]
        return list({image.id: image for image in found}.values())

    def _observed(self, host: str, kind: str, identifier: str, model: type[T]) -> T | None:
        where = _is(host_observed, host, kind, identifier)
        text = self._connection.execute(select(host_observed.c.observed).where(*where)).scalar_one_or_none()
        return msgspec.json.decode(text, type=model) if text else None


def _is(table: Any, host: str, kind: str, identifier: str) -> tuple[Any, Any, Any]:
    return table.c.host == host, table.c.kind == kind, table.c.id == identifier
