"""Skerry.Admin/status: what the installation has in hand, and what is stuck and why. `skerry status` shows it."""

import time
from collections.abc import Collection, Iterator
from typing import Any

from msgspec import Struct

from skerry.arm.descriptor import View, ViewContext
from skerry.arm.rows import timestamp
from skerry.store import OperationRow, ResourceRow, UnitOfWork

LOOKED_AT = 1000  # operations, the oldest first: what is stuck is old
SHOWN = 50
LONG_SECONDS = 120.0  # in one step; what waits for a guest's first boot takes less


class OperationStatus(Struct, rename="camel"):
    """An operation in progress. `causes`: why it is stuck; none as long as all goes well. `waits_for`: a host."""

    operation: str
    kind: str
    resource: str
    step: str
    started: str
    seconds: float
    step_seconds: float
    attempts: int
    waits_for: str
    fails_at: str
    causes: list[str]


class Count(Struct):
    """Operations of one kind: `due`, or `waiting` for a time or a host's report."""

    kind: str
    state: str
    count: int


class OperationsStatus(Struct, rename="camel"):
    """The operations in progress; `oldest` and `stuck` are the first of them only."""

    in_flight: int
    by_kind: list[Count]
    oldest: list[OperationStatus]
    stuck: list[OperationStatus]


class HostsStatus(Struct, rename="camel"):
    """The hosts, and what the VMs that are placed on them take; `silent` ones report no more, some are named."""

    count: int
    silent: int
    silent_names: list[str]
    used_vcpus: int
    used_memory_bytes: int


class TemplatesStatus(Struct, rename="camel"):
    """The templates that VMs start warm from, on all hosts: how many, and the bytes they take and may take.

    `standby`: how many machines stand by.
    """

    count: int
    standby: int
    memory_bytes: int
    memory_limit_bytes: int
    disk_bytes: int
    disk_limit_bytes: int


class Status(Struct):
    """The answer. `guests`: VMs by the power state that their hosts last reported. `database`: kind, schema, bytes."""

    operations: OperationsStatus
    hosts: HostsStatus
    guests: dict[str, int]
    database: dict[str, str | int]
    templates: TemplatesStatus


def status(context: ViewContext) -> Status:
    """Counts, the oldest operations in progress, and those that are stuck."""
    work, now = context.work, time.time()
    silent = list(work.hosts.silent(now))
    found = [_operation(work, row, frozenset(silent), now) for row in work.operations.in_progress(LOOKED_AT)]
    counts = work.operations.counts(now)
    by_kind = [Count(kind, state, count) for (kind, state), count in sorted(counts.items())]
    stuck = [operation for operation in found if operation.causes]
    hosts, vcpus, memory = work.hosts.totals()
    return Status(
        OperationsStatus(sum(counts.values()), by_kind, found[:SHOWN], stuck[:SHOWN]),
        HostsStatus(hosts, len(silent), silent[:SHOWN], vcpus, memory),
        {power: count for (power,), count in sorted(work.hosts.powers().items())},
        work.about(),
        _templates(work),
    )


def _templates(work: UnitOfWork) -> TemplatesStatus:
    warm = work.hosts.warm().values()
    found = [one for seen in warm for one in seen.templates if one.state == "ready"]
    return TemplatesStatus(
        len(found),
        work.hosts.count_standbys(),
        sum(one.loaded_bytes for one in found),
        sum(seen.memory_limit_bytes for seen in warm),
        sum(one.disk_bytes for one in found),
        sum(seen.disk_limit_bytes for seen in warm),
    )


def _operation(work: UnitOfWork, row: OperationRow, silent: frozenset[str], now: float) -> OperationStatus:
    entered = row.trace[-1]["at"] if row.trace and row.trace[-1]["step"] == row.step else row.started
    target = work.resources.get(row.target)
    return OperationStatus(
        operation=row.id,
        kind=row.kind,
        resource=row.target_id,
        step=row.step,
        started=timestamp(row.started),
        seconds=round(now - row.started, 1),
        step_seconds=round(now - entered, 1),
        attempts=row.state.get("attempts", 0),
        waits_for=row.waits_for,
        fails_at=timestamp(row.deadline),
        causes=causes(work, row, target, silent) or _slow(row, now - entered),
    )


def causes(work: UnitOfWork, row: OperationRow, target: ResourceRow | None, silent: Collection[str]) -> list[str]:
    """Why an operation on `target` doesn't get on, if that is known; `silent` are the hosts that report no more."""
    return list(_causes(work, row, target, silent))


def _causes(work: UnitOfWork, row: OperationRow, target: ResourceRow | None, silent: Collection[str]) -> Iterator[str]:
    private: dict[str, Any] = target.private if target else {}
    host, attempts = row.waits_for or private.get("host") or "", row.state.get("attempts", 0)
    if attempts:
        yield (
            f"Step '{row.step}' has failed {attempts} times by a defect and is tried again; the log has it under "
            f"operation {row.id}."
        )
    if host in silent:
        yield f"Host '{host}' reports no more: see that it runs and reaches Skerry."
    for kind in ("vm", "disk"):
        message = work.hosts.problem(host, kind, private[kind]) if private.get(kind) else None
        if message:
            yield f"Host '{host}' can't do its part yet and tries again: {message}"


def _slow(row: OperationRow, seconds: float) -> list[str]:
    if seconds < LONG_SECONDS:
        return []
    waiting = f", waiting for host '{row.waits_for}' to report" if row.waits_for else ""
    return [f"It has been in step '{row.step}' for {seconds:.0f} s{waiting}."]


VIEWS: tuple[View, ...] = (View("Skerry.Admin/status", status, Status),)
