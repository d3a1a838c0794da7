"""Microsoft.Compute/disks: OS disks made by VMs; empty ones, and ones from restore points, made by themselves."""

import uuid

from msgspec import structs

from skerry.arm.descriptor import AnyType, DeleteContext, PutContext, ResourceType
from skerry.arm.errors import BadRequest, Conflict
from skerry.arm.rows import new_operation, set_state
from skerry.resources.compute.checkpoints import checkpoint_of, disk_point_id, find_disk
from skerry.resources.compute.disk import steps
from skerry.resources.compute.disk.model import (
    GIB,
    TYPE,
    attached_to,
    default_properties,
    expand,
    in_use,
    restored,
    restored_properties,
)
from skerry.resources.compute.disk.wire import CreationData, Disk, DiskProperties, disk_sku
from skerry.store import Link, OperationRow


def _put(context: PutContext[Disk]) -> None:
    if context.old is None:
        _create(context)
    else:
        _update(context, context.old)


def _create(context: PutContext[Disk]) -> None:
    new = context.new
    asked = new.properties
    new.sku = disk_sku(new.sku.name if new.sku else None)
    context.row.private["disk"] = uuid.uuid4().hex
    if asked.creation_data is not None and asked.creation_data.create_option == "Restore":
        new.properties = _restored(context, asked.creation_data, asked.disk_size_gb)
    else:
        new.properties = _empty(asked)
    new.properties.provisioning_state = "Updating"
    context.operation = new_operation(context.row, steps.APPLY.name, seconds=steps.APPLY_SECONDS)


def _empty(asked: DiskProperties) -> DiskProperties:
    if asked.creation_data is None or asked.creation_data.create_option != "Empty":
        raise BadRequest(
            "InvalidParameter",
            "Skerry makes disks of createOption 'Empty' and 'Restore' by themselves, and OS disks with their VM; "
            "copies, uploads and imports are not supported.",
            target="creationData.createOption",
        )
    if asked.disk_size_gb is None:
        raise _missing("diskSizeGB", "disk.diskSizeGB")
    if asked.creation_data.source_resource_id is not None:
        raise BadRequest(
            "InvalidParameter", "sourceResourceId goes with createOption Restore only.", target="creationData"
        )
    return structs.replace(
        default_properties(asked.disk_size_gb),
        creation_data=asked.creation_data,
        os_type=asked.os_type,
        hyper_v_generation=asked.hyper_v_generation,
    )


def _restored(context: PutContext[Disk], creation: CreationData, size_gb: int | None) -> DiskProperties:
    target = "creationData.sourceResourceId"
    if creation.source_resource_id is None:
        raise _missing("creationData.sourceResourceId", target)
    point, disk = find_disk(context, creation.source_resource_id, target)
    kept, source = checkpoint_of(point), disk_point_id(point, disk)
    if size_gb is not None and size_gb < disk.size_gb:
        raise BadRequest(
            "InvalidParameter",
            f"Disk size {size_gb} GiB is smaller than the {disk.size_gb} GiB of the disk restore point.",
            target="disk.diskSizeGB",
        )
    context.row.private |= {**restored(kept, disk), "awaits": point.key}
    context.links.append(Link(context.id.key, point.key, "origin"))
    return restored_properties(source, disk, size_gb or disk.size_gb)


def _missing(name: str, target: str) -> BadRequest:
    return BadRequest("InvalidParameter", f"Required parameter '{name}' is missing (null).", target=target)


def _update(context: PutContext[Disk], old: Disk) -> None:
    new, before = context.new, old.properties
    size = new.properties.disk_size_gb or before.disk_size_gb or 0
    _check_update(context, size, before.disk_size_gb or 0)
    # One that couldn't be made or grown before is tried again by the same request.
    applies = size != before.disk_size_gb or context.row.state == "Failed"
    new.zones, new.managed_by = old.zones, None
    new.sku = disk_sku(new.sku.name) if new.sku else old.sku
    new.properties = structs.replace(
        before,
        disk_size_gb=size,
        disk_size_bytes=size * GIB,
        provisioning_state="Updating" if applies else "Succeeded",
    )
    context.links += context.work.resources.links_from(context.row.key, "origin")
    if applies:
        context.operation = new_operation(context.row, steps.APPLY.name, seconds=steps.APPLY_SECONDS)


def _check_update(context: PutContext[Disk], size: int, before: int) -> None:
    if context.row.operation:
        raise Conflict("AnotherOperationInProgress", f"Disk '{context.row.name}' is being changed. Try again later.")
    if size < before:
        raise BadRequest(
            "InvalidParameter",
            f"Disk size {size} GiB is smaller than the present {before} GiB. Shrinking a disk is not supported.",
            target="diskSizeGB",
        )
    owner = attached_to(context.work, context.row.key) if size != before else None
    vm = context.work.resources.get(owner) if owner else None
    if vm is not None and vm.private.get("host"):
        raise Conflict(
            "OperationNotAllowed",
            f"Cannot resize disk '{context.row.name}' while VM '{vm.name}' is allocated. Deallocate the VM first.",
            target="diskSizeGB",
        )


def _delete(context: DeleteContext) -> OperationRow:
    operation = new_operation(context.row, steps.DELETE.name, seconds=steps.DELETE_SECONDS)
    set_state(context.row, "Deleting")
    context.work.resources.save(context.row)
    return operation


# WIRE.md rule 10: a disk's PUT never answers 201.
TYPES: tuple[AnyType, ...] = (
    ResourceType(TYPE, Disk, _put, _delete, in_use=in_use, expand=expand, created=200, accepted=202),
)
KINDS = steps.KINDS
