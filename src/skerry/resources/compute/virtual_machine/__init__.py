"""Microsoft.Compute/virtualMachines."""

from typing import Literal

from skerry.arm.descriptor import (
    ActionContext,
    AnyType,
    DeleteContext,
    PutContext,
    Query,
    Reading,
    ResourceType,
)
from skerry.arm.rows import Body, new_operation, set_state
from skerry.resources.compute.catalogue.skus import list_sizes
from skerry.resources.compute.catalogue.wire import SizeList
from skerry.resources.compute.virtual_machine import steps
from skerry.resources.compute.virtual_machine.actions import ACTIONS
from skerry.resources.compute.virtual_machine.create import create
from skerry.resources.compute.virtual_machine.explain import Explanation, explain
from skerry.resources.compute.virtual_machine.instance_view import expand_query, instance_view
from skerry.resources.compute.virtual_machine.model import TYPE
from skerry.resources.compute.virtual_machine.update import update
from skerry.resources.compute.virtual_machine.wire import InstanceView, VirtualMachine
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


def _sizes(_context: ActionContext) -> SizeList:
    return list_sizes()


_EXPAND = Query(
    "$expand",
    Literal["instanceView", "userData", "instanceView,userData", "userData,instanceView"],
    "what the answer shows beside the model",
)
_LIST = (
    Query("$expand", Literal["instanceView"], "instanceView: how each VM runs now"),
    Query("statusOnly", Literal["true", "false"], "true: how each VM runs now, beside its model"),
)
_FORCE = Query("forceDeletion", bool, "true: don't wait for the guest to shut down")
TYPES: tuple[AnyType, ...] = (
    ResourceType(
        TYPE,
        VirtualMachine,
        _put,
        _delete,
        query_expand=expand_query,
        actions=ACTIONS,
        views={
            "instanceView": Reading(_instance_view, InstanceView),
            "vmSizes": Reading(_sizes, SizeList),
            "explain": Reading(explain, Explanation),
        },
        get_query=(_EXPAND,),
        list_query=_LIST,
        delete_query=(_FORCE,),
    ),
)
KINDS = steps.KINDS
