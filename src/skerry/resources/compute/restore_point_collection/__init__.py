"""Microsoft.Compute/restorePointCollections: the restore points of one VM."""

import uuid
from collections.abc import Mapping
from typing import Literal

from skerry.arm.descriptor import AnyType, DeleteContext, PutContext, Query, ResourceType
from skerry.arm.errors import BadRequest, Conflict
from skerry.arm.ids import parse_id
from skerry.arm.locations import normalise
from skerry.arm.rows import Body, body_of, new_operation, set_state
from skerry.resources.compute.checkpoints import COLLECTION, POINT
from skerry.resources.compute.restore_point import model as points
from skerry.resources.compute.restore_point_collection import steps
from skerry.resources.compute.restore_point_collection.wire import (
    CollectionProperties,
    CollectionSource,
    RestorePointCollection,
)
from skerry.resources.compute.virtual_machine.model import TYPE as VM
from skerry.store import OperationRow, ResourceRow, UnitOfWork


def _put(context: PutContext[RestorePointCollection]) -> None:
    properties = context.new.properties = context.new.properties or CollectionProperties()
    before = context.old.properties if context.old else None
    asked = properties.source.id if properties.source else None
    if before is None:
        properties.source = _source(context, asked)
        properties.restore_point_collection_id = str(uuid.uuid4())
    else:
        _keep(before, asked)
        properties.source = before.source
        properties.restore_point_collection_id = before.restore_point_collection_id
    if context.row.state == "Deleting":
        raise Conflict("OperationNotAllowed", f"Restore point collection '{context.row.name}' is being deleted.")
    properties.restore_points, properties.provisioning_state = None, "Succeeded"


def _source(context: PutContext[RestorePointCollection], asked: str | None) -> CollectionSource:
    target = "properties.source.id"
    if asked is None:
        raise BadRequest("InvalidParameter", "Required parameter 'source.id' is missing (null).", target=target)
    found = parse_id(asked, target)
    if found.type.lower() != VM.lower():
        raise BadRequest(
            "InvalidParameter",
            f"'{asked}' is not the id of a virtual machine: restore points are made of VMs, and not copied to another "
            "location.",
            target=target,
        )
    row = context.work.resources.get(found.key)
    if row is None or normalise(row.location) != normalise(context.new.location or ""):
        raise BadRequest(
            "InvalidResourceReference",
            f"Resource {found} referenced by resource {context.id} was not found. Please make sure that the referenced "
            "resource exists, and that both resources are in the same region.",
            target=target,
        )
    return CollectionSource(id=row.id, location=row.location)


def _keep(before: CollectionProperties, asked: str | None) -> None:
    present = (before.source.id if before.source else None) or ""
    if asked is not None and asked.lower() != present.lower():
        raise Conflict(
            "PropertyChangeNotAllowed", "Changing property 'source.id' is not allowed.", target="properties.source.id"
        )


def children(work: UnitOfWork, row: ResourceRow) -> list[ResourceRow]:
    """The rows of the collection's restore points."""
    return list(work.resources.list(type=POINT.lower(), parent=row.key))


def _delete(context: DeleteContext) -> OperationRow:
    """Deletes its restore points too. Raises Conflict while one is being used."""
    for point in children(context.work, context.row):
        links = context.work.resources.links_to(point.key)
        if links:
            raise points.in_use(point, links)
    operation = new_operation(context.row, steps.DELETE.name, seconds=steps.DELETE_SECONDS)
    set_state(context.row, "Deleting")
    context.work.resources.save(context.row)
    return operation


def _expand(work: UnitOfWork, row: ResourceRow, body: Body, query: Mapping[str, str]) -> None:
    if query.get("$expand", "").lower() == "restorepoints":
        body["properties"]["restorePoints"] = [body_of(point) for point in children(work, row)]


_EXPAND = Query("$expand", Literal["restorePoints"], "restorePoints: the answer shows them too")
TYPES: tuple[AnyType, ...] = (
    ResourceType(
        COLLECTION,
        RestorePointCollection,
        _put,
        _delete,
        query_expand=_expand,
        get_query=(_EXPAND,),
        brief=False,
    ),
)
KINDS = steps.KINDS
