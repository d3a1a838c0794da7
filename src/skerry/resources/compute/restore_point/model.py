"""A restore point's row: what is kept, and what its VM was then.

`row.private`: `checkpoint` (see `checkpoints.Checkpoint`). `row.location` is its collection's.
"""

import time
import uuid
from collections.abc import Sequence

import msgspec

from skerry.arm.descriptor import PutContext, SubResource
from skerry.arm.errors import Conflict
from skerry.arm.rows import Body, body_of, model_of, timestamp
from skerry.hostspec import CheckpointSpec
from skerry.resources.compute.checkpoints import DISK_POINT, Checkpoint, KeptDisk, checkpoint_of, disk_point_id
from skerry.resources.compute.disk.wire import Disk
from skerry.resources.compute.restore_point.wire import (
    DiskRestorePoint,
    DiskRestorePointProperties,
    RestorePoint,
    SourceMetadata,
    SourceOsDisk,
    SourceStorageProfile,
)
from skerry.resources.compute.virtual_machine.model import nic_keys, os_disk_key, size_name
from skerry.resources.compute.virtual_machine.wire import ManagedDisk, VirtualMachine
from skerry.resources.network import spec as network
from skerry.store import Link, ResourceRow, UnitOfWork

MEMORY_TAG = "skerry.memory"


def spec_of(row: ResourceRow, *, present: bool = True) -> CheckpointSpec:
    """What the host should have of this restore point."""
    kept = checkpoint_of(row)
    made = present and row.state == "Succeeded"
    return CheckpointSpec(kept.id, kept.vm, tuple(disk.disk for disk in kept.disks), kept.memory, present, made)


def source_of(work: UnitOfWork, point: ResourceRow) -> tuple[str, ResourceRow | None]:
    """The id of the VM that the point's collection is of, and the row of that name if there is one now."""
    collection = work.resources.get(point.parent)
    assert collection is not None
    identifier: str = body_of(collection)["properties"]["source"]["id"]
    return identifier, work.resources.get(identifier.lower())


def hardware(work: UnitOfWork, vm: ResourceRow) -> tuple[str, list[str], list[str]]:
    """What a machine must have again to go on from its memory: size, MACs and disks."""
    model = model_of(vm, VirtualMachine)
    keys = nic_keys(model)
    nics, disk = work.resources.get_many(keys), work.resources.get(os_disk_key(model))
    assert disk is not None
    return size_name(model), [network.mac_of(nics[key]) for key in keys], [disk.private["disk"]]


def capture(context: PutContext[RestorePoint], vm: ResourceRow, *, memory: bool) -> None:
    """Describe the VM as it is now, in the new restore point's body and row."""
    disk = context.work.resources.get(os_disk_key(model_of(vm, VirtualMachine)))
    assert disk is not None and context.new.properties is not None
    model = model_of(disk, Disk)
    kept = _kept_disk(model, disk.private["disk"])
    size, macs, _ = hardware(context.work, vm)
    checkpoint = Checkpoint(
        id=uuid.uuid4().hex,
        host=vm.private["host"] or disk.private["host"],
        vm=vm.private["vm"],
        memory=memory,
        size=size,
        macs=macs,
        firmware=vm.private["firmware"],
        image=vm.private.get("image"),
        disks=[kept],
    )
    context.row.private["checkpoint"] = msgspec.to_builtins(checkpoint)
    where = disk_point_id(context.row, kept)
    properties = context.new.properties
    properties.time_created = timestamp(time.time())
    properties.source_metadata = _metadata(model_of(vm, VirtualMachine), kept, where)
    properties.disk_restore_points = [_disk_point(where, kept, model, properties.time_created)]


def _kept_disk(disk: Disk, identifier: str) -> KeptDisk:
    properties = disk.properties
    capabilities = properties.supported_capabilities
    return KeptDisk(
        name=f"{disk.name}_{uuid.uuid4()}",
        disk=identifier,
        size_gb=properties.disk_size_gb or 0,
        os_type=properties.os_type,
        generation=properties.hyper_v_generation,
        architecture=capabilities.architecture if capabilities else None,
    )


def _metadata(vm: VirtualMachine, kept: KeptDisk, where: str) -> SourceMetadata:
    storage = vm.properties.storage_profile
    disk = storage.os_disk if storage else None
    assert disk is not None and disk.managed_disk is not None
    shown = SourceOsDisk(
        os_type=disk.os_type,
        name=disk.name,
        caching=disk.caching,
        disk_size_gb=kept.size_gb,
        managed_disk=ManagedDisk(id=disk.managed_disk.id, storage_account_type=disk.managed_disk.storage_account_type),
        disk_restore_point=SubResource(id=where),
    )
    return SourceMetadata(
        vm_id=vm.properties.vm_id,
        location=vm.location,
        hyper_v_generation=kept.generation,
        hardware_profile=vm.properties.hardware_profile,
        storage_profile=SourceStorageProfile(os_disk=shown, data_disks=[]),
        os_profile=vm.properties.os_profile,
        diagnostics_profile=vm.properties.diagnostics_profile,
    )


def _disk_point(where: str, kept: KeptDisk, disk: Disk, now: str) -> DiskRestorePoint:
    before = disk.properties
    properties = DiskRestorePointProperties(
        time_created=now,
        source_resource_id=disk.id,
        source_resource_location=disk.location,
        source_unique_id=before.unique_id,
        family_id=before.unique_id,
        os_type=kept.os_type,
        hyper_v_generation=kept.generation,
        supported_capabilities=before.supported_capabilities,
        encryption=before.encryption,
        network_access_policy=before.network_access_policy,
        public_network_access=before.public_network_access,
        completion_percent=100.0,
    )
    return DiskRestorePoint(id=where, name=kept.name, type=DISK_POINT, properties=properties)


def in_use(row: ResourceRow, links: Sequence[Link]) -> Conflict:
    """The refusal to delete what a VM is being made of, or put back to."""
    users = ", ".join(sorted({link.source for link in links}))
    return Conflict(
        "OperationNotAllowed",
        f"Restore point {row.id} is being used by {users}. Wait until that is done, or delete it, and try again.",
    )


def instance_view(row: ResourceRow) -> Body:
    """What `$expand=instanceView` adds."""
    body = body_of(row)["properties"]
    made = row.state == "Succeeded"
    status = {
        "code": f"ReplicationState/{'succeeded' if made else 'inprogress'}",
        "level": "Info",
        "displayStatus": "Succeeded" if made else "In progress",
    }
    disks = [
        {"id": disk["id"], "replicationStatus": {"status": status, "completionPercent": 100 if made else 0}}
        for disk in body.get("diskRestorePoints", [])
    ]
    return {"diskRestorePoints": disks, "statuses": [_provisioning(row), *_kept(body)]}


def _kept(body: Body) -> list[Body]:
    """Skerry's own status, for clients that show no other member than Azure's."""
    kept = body["skerry"]
    if not kept["memory"] or "sizeBytes" not in kept:
        return []
    text = f"Memory kept: {kept['sizeBytes'] >> 20} MB; the guest stood still for {kept['pauseSeconds']} s"
    return [{"code": "SkerryMemory/kept", "level": "Info", "displayStatus": text}]


def _provisioning(row: ResourceRow) -> Body:
    failure = row.private.get("failure")
    status = {
        "code": f"ProvisioningState/{row.state.lower()}",
        "level": "Error" if failure else "Info",
        "displayStatus": f"Provisioning {row.state.lower()}",
        "time": timestamp(row.changed),
    }
    return {**status, "message": failure["message"]} if failure else status
