"""Microsoft.Compute/virtualMachines."""

from skerry.arm.descriptor import ActionContext, AnyType, DeleteContext, PutContext, ResourceType
from skerry.arm.rows import Body, new_operation, set_state
from skerry.resources.compute.catalogue.skus import list_sizes
from skerry.resources.compute.virtual_machine import steps
from skerry.resources.compute.virtual_machine.actions import ACTIONS
from skerry.resources.compute.virtual_machine.create import create
from skerry.resources.compute.virtual_machine.instance_view import expand_query, instance_view
from skerry.resources.compute.virtual_machine.model import TYPE
from skerry.resources.compute.virtual_machine.update import update
from skerry.resources.compute.virtual_machine.wire import VirtualMachine
from skerry.store import OperationRow


def _put(context: PutContext[VirtualMachine]) -> None:
    if context.old is None:
        create(context)
    else:
        update(context, context.old)


def _delete(context: DeleteContext) -> OperationRow:
    """Works in every state: the new operation takes the VM over from any other."""
    operation = new_operation(context.row, steps.DELETE.name, seconds=steps.DELETE_SECONDS)
    set_state(context.row, "Deleting")
    context.work.resources.save(context.row)
    return operation


def _instance_view(context: ActionContext) -> Body:
    return instance_view(context.work, context.resource)


def _sizes(_context: ActionContext) -> Body:
    return list_sizes()


TYPES: tuple[AnyType, ...] = (
    ResourceType(
        TYPE,
        VirtualMachine,
        _put,
        _delete,
        query_expand=expand_query,
        actions=ACTIONS,
        views={"instanceview": _instance_view, "vmsizes": _sizes},
    ),
)
KINDS = steps.KINDS
