"""What happens to a disk on its host.

disk-apply   start: want it ──▶ await: until the host has it in this size
disk-delete  start: want it gone ──▶ await: until the host has it no more ──▶ the row goes
"""

from skerry.arm.errors import ErrorDetail
from skerry.arm.rows import set_state
from skerry.engine.steps import Done, Hop, Nap, OperationFailed, OperationKind, Outcome, StepContext
from skerry.hostspec import DiskSpec
from skerry.resources.compute.disk.model import HOST, spec_of

APPLY_SECONDS = 300.0
DELETE_SECONDS = 120.0


def _want(context: StepContext) -> Outcome:
    context.work.hosts.put(HOST, spec_of(context.row))
    return Hop("await")


def _await(context: StepContext) -> Outcome:
    spec = spec_of(context.row)
    seen = context.work.hosts.disk(HOST, spec.id)
    if seen is not None and seen.ready and seen.size_bytes >= spec.size_bytes:
        set_state(context.row, "Succeeded")
        context.work.resources.save(context.row)
        return Done()
    if seen is not None and seen.message:
        raise OperationFailed("DiskNotReady", f"The disk '{context.row.name}' couldn't be made: {seen.message}")
    return Nap(2, HOST)


def _want_gone(context: StepContext) -> Outcome:
    context.work.hosts.put(HOST, spec_of(context.row, present=False))
    return Hop("await")


def _await_gone(context: StepContext) -> Outcome:
    identifier = context.row.private["disk"]
    if context.work.hosts.disk(HOST, identifier) is not None or not _applied(context, identifier):
        return Nap(1, HOST)
    context.work.hosts.drop(HOST, "disk", identifier)
    context.work.resources.delete(context.row.key)
    return Done()


def _applied(context: StepContext, identifier: str) -> bool:
    """Whether the agent has looked at the spec that wants the disk gone, or never had it."""
    wanted = context.operation.state.setdefault("revision", context.work.hosts.revision(HOST))
    gone = context.work.hosts.get(HOST, DiskSpec, identifier) is None
    return gone or context.work.hosts.applied(HOST) >= wanted


def _timed_out(context: StepContext) -> ErrorDetail:
    why = context.work.hosts.problem(HOST, "disk", context.row.private["disk"]) or "the host did not answer in time"
    return ErrorDetail("DiskOperationTimedOut", f"Disk '{context.row.name}': {why}. The disk is kept; try again.")


APPLY = OperationKind("disk-apply", {"start": _want, "await": _await}, timed_out=_timed_out)
DELETE = OperationKind("disk-delete", {"start": _want_gone, "await": _await_gone}, timed_out=_timed_out)
KINDS = (APPLY, DELETE)
