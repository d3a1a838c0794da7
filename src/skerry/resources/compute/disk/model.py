"""A disk's row: what it is on the host, who uses it, and how the VM type makes and frees one.

`row.private`: `disk` (its id), `image` (the id of the image that it begins as), `origin` (the checkpoint, and the disk
in it, that it begins as), `awaits` (the restore point that this is of, until it is made), `host` (where its file is).
"""

import time
import uuid
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from skerry.arm.descriptor import PutContext, Shown
from skerry.arm.errors import Conflict
from skerry.arm.ids import ResourceId
from skerry.arm.rows import model_of, set_body, timestamp
from skerry.hostspec import CheckpointedDisk, DiskSpec, ImageObserved
from skerry.resources.compute.checkpoints import Checkpoint, KeptDisk
from skerry.resources.compute.disk.wire import (
    Architecture,
    CreationData,
    Disk,
    DiskProperties,
    Encryption,
    ImageDiskReference,
    StorageSku,
    SupportedCapabilities,
    disk_sku,
)
from skerry.store import Link, ResourceRow, UnitOfWork

TYPE = "Microsoft.Compute/disks"
GIB = 1 << 30
DEFAULT_GB = 30  # of an OS disk


def spec_of(row: ResourceRow, *, present: bool = True) -> DiskSpec:
    """What the host should have of this disk."""
    properties = model_of(row, Disk).properties
    size = (properties.disk_size_gb or 0) * GIB
    origin = row.private.get("origin")
    return DiskSpec(
        row.private["disk"],
        size,
        row.private.get("image"),
        CheckpointedDisk(*origin) if origin else None,
        present=present,
    )


def place(work: UnitOfWork, key: str, host: str) -> None:
    """Want the disk's file on this host, where it stays."""
    row = work.resources.get(key)
    assert row is not None
    if row.private.get("host") != host:
        row.private["host"] = host
        work.resources.save(row)
    work.hosts.put(host, spec_of(row))


def architecture(row: ResourceRow) -> Architecture:
    """Of the system on the disk; x64 if nobody said."""
    capabilities = model_of(row, Disk).properties.supported_capabilities
    return (capabilities.architecture if capabilities else None) or "x64"


def default_properties(size_gb: int) -> DiskProperties:
    """What every new disk says of itself."""
    return DiskProperties(
        disk_size_gb=size_gb,
        disk_size_bytes=size_gb * GIB,
        encryption=Encryption(type="EncryptionAtRestWithPlatformKey"),
        network_access_policy="AllowAll",
        public_network_access="Enabled",
        time_created=timestamp(time.time()),
        unique_id=str(uuid.uuid4()),
        provisioning_state="Succeeded",
    )


def default_os_disk_gb(image: ImageObserved) -> int:
    """How large an OS disk of this image is when nobody says."""
    return max(image_size_gb(image), DEFAULT_GB)


def image_size_gb(image: ImageObserved) -> int:
    """The size that the image's own disk has, in whole GiB."""
    return max(1, -(-image.size_bytes // GIB))


def create_os_disk(
    context: PutContext[Any], name: str, image: ImageObserved, *, image_id: str, size_gb: int, sku: StorageSku | None
) -> ResourceRow:
    """Make the row of a VM's OS disk from an image, in the VM's group, location and zone."""
    properties = structs.replace(
        default_properties(size_gb),
        creation_data=CreationData(create_option="FromImage", image_reference=ImageDiskReference(id=image_id)),
        os_type=image.os_type,
        hyper_v_generation=image.generation,
        supported_capabilities=SupportedCapabilities(architecture=image.architecture, disk_controller_types="SCSI"),
    )
    return _create_row(context, name, properties, sku, {"image": image.id})


def create_fork_disk(
    context: PutContext[Any], name: str, kept: Checkpoint, disk: KeptDisk, *, source: str, sku: StorageSku | None
) -> ResourceRow:
    """Make the row of a VM's disk from what a restore point holds; `source` is the id of the disk restore point."""
    return _create_row(context, name, restored_properties(source, disk, disk.size_gb), sku, restored(kept, disk))


def restored_properties(source: str, disk: KeptDisk, size_gb: int) -> DiskProperties:
    """What a disk made from a disk restore point says of itself."""
    capabilities = SupportedCapabilities(architecture=disk.architecture, disk_controller_types="SCSI")
    return structs.replace(
        default_properties(size_gb),
        creation_data=CreationData(create_option="Restore", source_resource_id=source),
        os_type=disk.os_type,
        hyper_v_generation=disk.generation,
        supported_capabilities=capabilities if disk.architecture else None,
    )


def restored(kept: Checkpoint, disk: KeptDisk) -> dict[str, Any]:
    """The private part of a row of a disk made from a disk restore point: it is where that is."""
    return {"origin": [kept.id, disk.disk], "host": kept.host}


def _create_row(
    context: PutContext[Any], name: str, properties: DiskProperties, sku: StorageSku | None, private: dict[str, Any]
) -> ResourceRow:
    resource = ResourceId(context.id.subscription, context.id.group, "Microsoft.Compute", ("disks",), (name,))
    if context.work.resources.get(resource.key) is not None:
        raise Conflict(
            "ConflictingUserInput",
            f"Disk '{name}' already exists in resource group '{context.id.group}'. Only CreateOption.Attach is "
            "supported.",
            target="osDisk.name",
        )
    disk = Disk(
        id=str(resource),
        name=name,
        type=TYPE,
        location=context.new.location,
        tags=dict(context.new.tags or {}),
        sku=disk_sku(sku),
        zones=context.new.zones,
        properties=properties,
    )
    row = ResourceRow(
        key=resource.key,
        id=str(resource),
        type=TYPE.lower(),
        group_key=resource.group_id.key,
        name=name,
        location=disk.location or "",
        body=b"{}",
        private={"disk": uuid.uuid4().hex, **private},
    )
    set_body(row, disk)
    context.work.resources.save(row)
    context.work.resources.set_tags(row.key, disk.tags or {})
    return row


def attached_to(work: UnitOfWork, key: str) -> str | None:
    """The key of the VM that uses the disk."""
    links = work.resources.links_to(key, "disk")
    return links[0].source if links else None


def expand(work: UnitOfWork, shown: Shown) -> None:
    """`managedBy` and `diskState`: who uses the disk, and whether it is running."""
    links = work.resources.links_to_many((row.key for row, _ in shown), "disk")
    vms = work.resources.get_many(found[0].source for found in links.values())
    for row, body in shown:
        vm = vms.get(links[row.key][0].source) if row.key in links else None
        state = "Unattached"
        if vm is not None:
            body["managedBy"] = vm.id
            state = "Attached" if vm.private.get("host") else "Reserved"
        body["properties"]["diskState"] = state


def in_use(row: ResourceRow, links: Sequence[Link]) -> Conflict:
    """Azure's refusal to delete an attached disk."""
    return Conflict("OperationNotAllowed", f"Disk {row.name} is attached to VM {links[0].source}.")
