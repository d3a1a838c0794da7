"""Microsoft.Compute/restorePointCollections/restorePoints and the disk restore points inside them.

Skerry's own: a point may keep the running machine too (`properties.skerry.memory`, or the tag `skerry.memory=on` of its
collection), and POST `restore` puts the VM back to it.
"""

from typing import Any, Literal

from skerry.arm.descriptor import (
    Action,
    AnyType,
    DeleteContext,
    EmbeddedType,
    PutContext,
    Query,
    ResourceType,
)
from skerry.arm.errors import BadRequest, Conflict, NotFound
from skerry.arm.ids import parse_id
from skerry.arm.rows import Body, body_of, model_of, new_operation, set_state
from skerry.resources.compute.checkpoints import DISK_POINT, POINT
from skerry.resources.compute.restore_point import model, steps
from skerry.resources.compute.restore_point.restore import restore
from skerry.resources.compute.restore_point.wire import DiskRestorePoint, Kept, RestorePoint, RestorePointProperties
from skerry.resources.compute.virtual_machine.model import observed, os_disk_key
from skerry.resources.compute.virtual_machine.wire import VirtualMachine
from skerry.store import OperationRow, ResourceRow, UnitOfWork


def _put(context: PutContext[RestorePoint]) -> None:
    if context.old is None:
        _create(context)
    else:
        _same(context, context.old)


def _create(context: PutContext[RestorePoint]) -> None:
    properties = context.new.properties = context.new.properties or RestorePointProperties()
    collection = context.work.resources.get(context.row.parent)
    assert collection is not None
    if collection.state == "Deleting":
        raise Conflict("OperationNotAllowed", f"Restore point collection '{collection.name}' is being deleted.")
    _check_body(context, properties)
    vm = _source(context)
    _check_disks(properties, vm)
    memory = _wants_memory(properties, collection)
    _check_state(context, vm, memory=memory)
    properties.consistency_mode, properties.exclude_disks = "CrashConsistent", properties.exclude_disks or None
    properties.skerry = Kept(memory=memory)
    properties.instance_view, properties.provisioning_state = None, "Creating"
    context.row.location = collection.location
    model.capture(context, vm, memory=memory)
    context.operation = new_operation(context.row, steps.CREATE.name, seconds=steps.CREATE_SECONDS)


def _check_body(context: PutContext[RestorePoint], properties: RestorePointProperties) -> None:
    if context.new.location is not None or context.new.tags:
        raise BadRequest("InvalidParameter", "A restore point has no location and no tags: its collection has them.")
    if properties.source_restore_point is not None:
        raise BadRequest(
            "NotSupported",
            "Restore points are not copied to another location: leave sourceRestorePoint out.",
            target="sourceRestorePoint",
        )
    if properties.source_metadata is not None:
        raise BadRequest(
            "NotSupported",
            "The disks of a restore point are kept as the host's disks are: leave sourceMetadata, with encryption "
            "settings of its own, out.",
            target="sourceMetadata",
        )
    if properties.consistency_mode not in (None, "CrashConsistent"):
        raise BadRequest(
            "InvalidParameter",
            f"The consistency mode {properties.consistency_mode} is not supported: no file system or application is "
            "told to flush. Use CrashConsistent, and keep the memory too (skerry.memory) where nothing may be lost.",
            target="consistencyMode",
        )


def _source(context: PutContext[RestorePoint]) -> ResourceRow:
    source, vm = model.source_of(context.work, context.row)
    if vm is None or vm.state == "Deleting":
        raise NotFound(
            "ResourceNotFound",
            f"The virtual machine '{source}', which this restore point collection is of, is not there any more. "
            "Its restore points are kept; no more can be made.",
        )
    return vm


def _check_disks(properties: RestorePointProperties, vm: ResourceRow) -> None:
    disk = os_disk_key(model_of(vm, VirtualMachine))
    for excluded in properties.exclude_disks or []:
        why = (
            "it is the only disk of the VM"
            if str(parse_id(excluded.id, "excludeDisks")).lower() == disk
            else f"it is no disk of VM '{vm.name}'"
        )
        raise BadRequest(
            "InvalidParameter", f"Disk {excluded.id} can't be left out: {why}.", target="properties.excludeDisks"
        )


def _wants_memory(properties: RestorePointProperties, collection: ResourceRow) -> bool:
    if properties.skerry is not None and properties.skerry.memory is not None:
        return properties.skerry.memory
    tags = body_of(collection).get("tags", {})
    return "on" in {value.lower() for name, value in tags.items() if name.lower() == model.MEMORY_TAG}


def _check_state(context: PutContext[RestorePoint], vm: ResourceRow, *, memory: bool) -> None:
    if vm.operation:
        raise Conflict(
            "Conflict", f"Another operation is in progress on virtual machine '{vm.name}'. Wait for it and try again."
        )
    disk = context.work.resources.get(os_disk_key(model_of(vm, VirtualMachine)))
    if disk is None or not disk.private.get("host"):
        raise Conflict(
            "OperationNotAllowed", f"VM '{vm.name}' has no disk on any host yet: there is nothing to keep. Start it."
        )
    seen = observed(context.work, vm)
    if memory and (seen is None or seen.power != "running"):
        raise Conflict(
            "OperationNotAllowed",
            f"The memory of VM '{vm.name}' can't be kept since the VM is not running. Start it first, or make a "
            "restore point without memory (take the tag skerry.memory off the collection).",
        )


def _same(context: PutContext[RestorePoint], old: RestorePoint) -> None:
    """A restore point never changes; the same PUT may come again."""
    now, before = context.new.properties or RestorePointProperties(), old.properties
    assert before is not None and before.skerry is not None
    asked = now.skerry.memory if now.skerry else None
    if (
        context.row.state == "Failed"
        or now.consistency_mode not in (None, before.consistency_mode)
        or now.exclude_disks
        or now.source_restore_point is not None
        or asked not in (None, before.skerry.memory)
        or context.new.tags
    ):
        failed = " It couldn't be made, and holds nothing." if context.row.state == "Failed" else ""
        raise Conflict(
            "OperationNotAllowed",
            f"Restore point '{context.row.name}' is there already and can't be changed.{failed} Delete it first, or "
            "choose another name.",
        )
    context.new.location, context.new.properties = None, before


def _delete(context: DeleteContext) -> OperationRow:
    """Works in every state: the new operation takes the point over from the one that makes it."""
    operation = new_operation(context.row, steps.DELETE.name, seconds=steps.DELETE_SECONDS)
    set_state(context.row, "Deleting")
    context.work.resources.save(context.row)
    return operation


def _expand(_work: UnitOfWork, row: ResourceRow, body: Body, query: Any) -> None:
    if str(query.get("$expand", "")).lower() == "instanceview":
        body["properties"]["instanceView"] = model.instance_view(row)


_EXPAND = Query("$expand", Literal["instanceView"], "what the answer shows beside the model")
# Azure's clients accept 201 only, also for a point that is there.
TYPES: tuple[AnyType, ...] = (
    ResourceType(
        POINT,
        RestorePoint,
        _put,
        _delete,
        in_use=model.in_use,
        query_expand=_expand,
        get_query=(_EXPAND,),
        actions={"restore": Action(restore)},
        tracked=False,
        updated=201,
    ),
    EmbeddedType(DISK_POINT, POINT, "diskRestorePoints", DiskRestorePoint, read_only=True),
)
KINDS = steps.KINDS
