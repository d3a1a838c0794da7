"""Microsoft.Resources/resourceGroups. A delete takes everything inside along, in dependency order."""

import re

from skerry.arm.descriptor import (
    AnyType,
    ArmResource,
    DeleteContext,
    Id,
    Properties,
    PutContext,
    ReadOnly,
    ResourceType,
)
from skerry.arm.registry import GROUP_TYPE
from skerry.arm.rows import new_operation, set_state
from skerry.resources.resources.resource_group import steps
from skerry.store import OperationRow


class GroupProperties(Properties):
    """`properties` of a resource group."""

    provisioning_state: ReadOnly[str | None] = None


class ResourceGroup(ArmResource):
    """A resource group."""

    managed_by: Id | None = None
    properties: GroupProperties | None = None


def _put(context: PutContext[ResourceGroup]) -> None:
    context.new.properties = GroupProperties(provisioning_state="Succeeded")


def _delete(context: DeleteContext) -> OperationRow:
    operation = new_operation(context.row, steps.DELETE.name, seconds=steps.DELETE_SECONDS)
    set_state(context.row, "Deleting")
    context.work.resources.save(context.row)
    return operation


TYPES: tuple[AnyType, ...] = (
    ResourceType(
        GROUP_TYPE,
        ResourceGroup,
        _put,
        _delete,
        name_pattern=re.compile(r"[-\w.()]{0,89}[-\w()]"),
    ),
)
KINDS = steps.KINDS
