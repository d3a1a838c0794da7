"""What happens to a disk on its host.

disk-apply   start: want it ──▶ await: until the host has it in this size
disk-delete  start: want it gone ──▶ await: until the host has it no more ──▶ the row goes
"""

from skerry.arm.errors import ErrorDetail
from skerry.arm.rows import model_of, set_state
from skerry.engine.steps import FAILING_SECONDS, Done, Hop, Nap, OperationFailed, OperationKind, Outcome, StepContext
from skerry.placement import Request, sentence
from skerry.resources.compute.disk.model import architecture, place, spec_of
from skerry.resources.compute.disk.wire import Disk

APPLY_SECONDS = 300.0
DELETE_SECONDS = 120.0


def _want(context: StepContext) -> Outcome:
    place(context.work, context.row.key, _host(context) or _choose_host(context))
    return Hop("await")


def _host(context: StepContext) -> str:
    """Where the disk's file is; empty if nowhere."""
    return str(context.row.private.get("host", ""))


def _choose_host(context: StepContext) -> str:
    zones = model_of(context.row, Disk).zones
    request = Request(0, 0, architecture(context.row), zone=zones[0] if zones else None)
    choice = context.placer.choose(context.work, request)
    if choice.host is None:
        raise OperationFailed("AllocationFailed", f"There is no host for disk '{context.row.name}': {sentence(choice)}")
    return choice.host


def _await(context: StepContext) -> Outcome:
    spec, host = spec_of(context.row), _host(context)
    seen = context.work.hosts.disk(host, spec.id)
    if seen is not None and seen.ready and seen.size_bytes >= spec.size_bytes:
        set_state(context.row, "Succeeded")
        if context.row.private.pop("awaits", None):
            context.work.resources.set_links(context.row.key, [])
        context.work.resources.save(context.row)
        return Done()
    why = seen.message if seen is not None else ""
    if context.failing(why) > FAILING_SECONDS:
        raise OperationFailed(
            "DiskNotReady",
            f"The disk '{context.row.name}' couldn't be made or grown: {why}. What there was of it is kept: send the "
            "same request again once that is mended, or delete the disk.",
        )
    return Nap(2, host)


def _want_gone(context: StepContext) -> Outcome:
    host = _host(context)
    if host:
        context.operation.state["revision"] = context.work.hosts.put(host, spec_of(context.row, present=False))
    return Hop("await")


def _await_gone(context: StepContext) -> Outcome:
    identifier, host = context.row.private["disk"], _host(context)
    if host:
        looked = context.work.hosts.applied(host) >= context.operation.state["revision"]
        if context.work.hosts.disk(host, identifier) is not None or not looked:
            return Nap(1, host)
        context.work.hosts.drop(host, "disk", identifier)
    context.work.resources.delete(context.row.key)
    return Done()


def _timed_out(context: StepContext) -> ErrorDetail:
    problem = context.work.hosts.problem(_host(context), "disk", context.row.private["disk"])
    why = problem or "the host did not answer in time"
    return ErrorDetail("DiskOperationTimedOut", f"Disk '{context.row.name}': {why}. The disk is kept; try again.")


APPLY = OperationKind("disk-apply", {"start": _want, "await": _await}, timed_out=_timed_out)
DELETE = OperationKind("disk-delete", {"start": _want_gone, "await": _await_gone}, timed_out=_timed_out)
KINDS = (APPLY, DELETE)
