"""Deleting a restore point collection with its points.

restorepointcollection-delete  start: delete each point ─▶ again, until there is none ─▶ the row goes
"""

from skerry.arm.errors import ArmError
from skerry.arm.ids import parse_id
from skerry.engine.steps import Done, Nap, OperationFailed, OperationKind, Outcome, StepContext
from skerry.resources.compute.checkpoints import POINT
from skerry.store import ResourceRow

DELETE_SECONDS = 10 * 60.0


def _sweep(context: StepContext) -> Outcome:
    points = context.work.resources.list(type=POINT.lower(), parent=context.row.key)
    if not points:
        context.work.resources.delete(context.row.key)
        return Done()
    for point in points:
        if not (point.state == "Deleting" and point.operation):
            _delete(context, point)
    return Nap(0.5)


def _delete(context: StepContext, point: ResourceRow) -> None:
    if context.operation.state.setdefault("tried", {}).get(point.key):
        raise OperationFailed(
            "RestorePointNotDeleted",
            f"Restore point '{point.name}' couldn't be deleted: "
            f"{point.private.get('failure', {}).get('message', 'no reason was given')} Delete the collection again.",
        )
    try:
        result = context.service.delete(context.work, parse_id(point.id))
    except ArmError as error:
        raise OperationFailed(error.code, error.message) from error
    context.operation.state["tried"][point.key] = True
    if result.operation is not None:
        result.operation.state["waiter"] = context.operation.id
        context.work.operations.save(result.operation)


DELETE = OperationKind("restorepointcollection-delete", {"start": _sweep})
KINDS = (DELETE,)
