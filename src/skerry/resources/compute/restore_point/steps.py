"""What happens to a restore point on its host.

restorepoint-create  start: want it ─▶ await: until the host has made it ─▶ Succeeded
                                         └▶ undo: want it gone ─▶ await_undone ─▶ Failed, with nothing kept
restorepoint-delete  start: want it gone ─▶ await: until the host has it no more ─▶ the row goes
"""

from skerry.arm.errors import ErrorDetail
from skerry.arm.rows import model_of, set_body
from skerry.engine.steps import FAILING_SECONDS, Done, Hop, Nap, OperationFailed, OperationKind, Outcome, StepContext
from skerry.hostspec import CheckpointObserved
from skerry.resources.compute.checkpoints import Checkpoint, checkpoint_of
from skerry.resources.compute.restore_point.model import hardware, source_of, spec_of
from skerry.resources.compute.restore_point.wire import Kept, RestorePoint

CREATE_SECONDS = 15 * 60.0
DELETE_SECONDS = 5 * 60.0


def _kept(context: StepContext) -> Checkpoint:
    return checkpoint_of(context.row)


def _want(context: StepContext) -> Outcome:
    context.work.hosts.put(_kept(context).host, spec_of(context.row))
    return Hop("await")


def _await(context: StepContext) -> Outcome:
    kept = _kept(context)
    seen = context.work.hosts.checkpoint(kept.host, kept.id)
    if seen is not None and seen.ready:
        return _made(context, kept, seen)
    why = (seen.message if seen else "") or context.work.hosts.problem(kept.host, "checkpoint", kept.id) or ""
    if context.failing(why) > FAILING_SECONDS:
        return _give_up(context, why)
    return Nap(1, kept.host)


def _made(context: StepContext, kept: Checkpoint, seen: CheckpointObserved) -> Outcome:
    if kept.memory and not seen.memory:
        return _give_up(context, "the VM was not running any more")
    if kept.memory and not _still_the_same(context, kept):
        return _give_up(context, "the VM was changed meanwhile")
    body = model_of(context.row, RestorePoint)
    assert body.properties is not None
    body.properties.provisioning_state = context.row.state = "Succeeded"
    body.properties.skerry = Kept(
        memory=seen.memory,
        size_bytes=seen.size_bytes,
        pause_seconds=round(seen.pause_seconds, 4),
        disk_pause_seconds=round(seen.disk_pause_seconds, 4),
    )
    set_body(context.row, body)
    context.work.resources.save(context.row)
    context.work.hosts.put(kept.host, spec_of(context.row))
    return Done()


def _still_the_same(context: StepContext, kept: Checkpoint) -> bool:
    """Whether the VM is what was written down when the point was asked for; one that is gone hasn't changed."""
    _, vm = source_of(context.work, context.row)
    if vm is None or vm.private["vm"] != kept.vm:
        return True
    return hardware(context.work, vm) == (kept.size, kept.macs, [disk.disk for disk in kept.disks])


def _give_up(context: StepContext, why: str) -> Outcome:
    context.operation.state["why"] = why.rstrip(".")
    return Hop("undo")


def _want_gone(context: StepContext) -> None:
    revision = context.work.hosts.put(_kept(context).host, spec_of(context.row, present=False))
    context.operation.state["revision"] = revision


def _is_gone(context: StepContext) -> bool:
    """Whether the host has it no more."""
    kept = _kept(context)
    looked = context.work.hosts.applied(kept.host) >= context.operation.state["revision"]
    return looked and context.work.hosts.checkpoint(kept.host, kept.id) is None


def _forget(context: StepContext) -> None:
    kept = _kept(context)
    context.work.hosts.drop(kept.host, "checkpoint", kept.id)


def _undo(context: StepContext) -> Outcome:
    _want_gone(context)
    return Hop("await_undone")


def _await_undone(context: StepContext) -> Outcome:
    if not _is_gone(context):
        return Nap(1, _kept(context).host)
    raise OperationFailed(
        "RestorePointNotMade",
        f"Restore point '{context.row.name}' couldn't be made: {context.operation.state['why']}. The VM goes on, and "
        "nothing of the point is kept. Delete it, and make it again once that is mended.",
    )


def _start_delete(context: StepContext) -> Outcome:
    _want_gone(context)
    return Hop("await")


def _await_gone(context: StepContext) -> Outcome:
    if not _is_gone(context):
        return Nap(1, _kept(context).host)
    _forget(context)
    context.work.resources.delete(context.row.key)
    return Done()


def _give_back(context: StepContext, _error: ErrorDetail) -> None:
    """What was out of time keeps nothing either, once the host gets to it."""
    if "revision" not in context.operation.state:
        _want_gone(context)
    elif _is_gone(context):
        _forget(context)


def _timed_out(context: StepContext) -> ErrorDetail:
    kept = _kept(context)
    seen = context.work.hosts.checkpoint(kept.host, kept.id)
    why = (seen.message if seen else "") or context.work.hosts.problem(kept.host, "checkpoint", kept.id) or ""
    return ErrorDetail(
        "RestorePointTimedOut",
        f"Restore point '{context.row.name}': {why or 'the host did not answer in time'}. Delete it, and try again.",
    )


CREATE = OperationKind(
    "restorepoint-create",
    {"start": _want, "await": _await, "undo": _undo, "await_undone": _await_undone},
    on_failure=_give_back,
    timed_out=_timed_out,
)
DELETE = OperationKind("restorepoint-delete", {"start": _start_delete, "await": _await_gone}, timed_out=_timed_out)
KINDS = (CREATE, DELETE)
