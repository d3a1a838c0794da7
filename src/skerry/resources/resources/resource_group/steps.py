"""Deleting a resource group.

    group-delete  sweep: delete what nothing refers to any more ─▶ again, until nothing is left ─▶ the row goes

A pass that can delete nothing while nothing is under way fails, and so does a delete that takes too long, with the
names of what is left and why.
"""

from collections.abc import Collection

from skerry.arm.errors import ArmError, ErrorDetail
from skerry.arm.ids import parse_id
from skerry.arm.rows import set_state
from skerry.engine.steps import Done, Nap, OperationFailed, OperationKind, Outcome, StepContext
from skerry.resources.admin.status import causes
from skerry.store import ResourceRow

DELETE_SECONDS = 30 * 60.0
MOST_DETAILS = 50


def _left(context: StepContext) -> list[ResourceRow]:
    return [row for row in context.work.resources.list(group=context.row.key) if row.key != context.row.key]


def _sweep(context: StepContext) -> Outcome:
    rows = _left(context)
    if not rows:
        context.work.resources.delete(context.row.key)
        return Done()
    refusals = []
    progress = False
    for row in rows:
        if row.state == "Deleting" and row.operation:
            progress = True
            continue
        refusal = _delete(context, row)
        refusals += [refusal] if refusal else []
        progress = progress or refusal is None
    if not progress:
        raise _stuck(context, refusals)
    context.operation.state["refusals"] = {refusal.target: refusal.message for refusal in refusals[:MOST_DETAILS]}
    return Nap(0.5)


def _delete(context: StepContext, row: ResourceRow) -> ErrorDetail | None:
    """Delete one resource, or begin to; the refusal if something still refers to it."""
    try:
        with context.work.savepoint():
            result = context.service.delete(context.work, parse_id(row.id), forced=True)
            if result.operation is not None:
                result.operation.state["waiter"] = context.operation.id
                context.work.operations.save(result.operation)
    except ArmError as error:
        return ErrorDetail(error.code, error.message, row.id)
    return None


def _stuck(context: StepContext, refusals: list[ErrorDetail]) -> OperationFailed:
    names = ", ".join(f"'{refusal.target}'" for refusal in refusals)
    return OperationFailed(
        "ResourceGroupDeletionBlocked",
        f"Deletion of resource group '{context.row.name}' failed as resources with identifiers {names} could not be "
        "deleted. What could be deleted is gone.",
        details=refusals,
    )


def _out_of_time(context: StepContext) -> ErrorDetail:
    """Azure's error, with why each is left."""
    rows, silent = _left(context), context.work.hosts.silent(context.now)
    names = ", ".join(f"'{row.id}'" for row in rows[:MOST_DETAILS]) + ("" if len(rows) <= MOST_DETAILS else " and more")
    return ErrorDetail(
        "ResourceGroupDeletionTimeout",
        f"Deletion of resource group '{context.row.name}' did not finish within the allowed time as resources with "
        f"identifiers {names} could not be deleted. What could be deleted is gone; delete the group again once what "
        "the details name is mended.",
        details=[ErrorDetail("ResourceNotDeleted", _why(context, row, silent), row.id) for row in rows[:MOST_DETAILS]],
    )


def _why(context: StepContext, row: ResourceRow, silent: Collection[str]) -> str:
    operation = context.work.operations.get(row.operation) if row.operation else None
    if operation is None:
        failure = row.private.get("failure") or {}
        kept = context.operation.state.get("refusals", {})
        return str(kept.get(row.id) or failure.get("message") or "Its deletion has not begun.")
    known = causes(context.work, operation, row, silent)
    return " ".join([f"Its operation {operation.id} ({operation.kind}) is in step '{operation.step}'.", *known])


def _reopen(context: StepContext, _error: ErrorDetail) -> None:
    """The group is there and can be used again."""
    set_state(context.row, "Succeeded")
    context.work.resources.save(context.row)


DELETE = OperationKind(
    "group-delete", {"start": _sweep}, on_failure=_reopen, timed_out=_out_of_time, fails_resource=False
)
KINDS = (DELETE,)
