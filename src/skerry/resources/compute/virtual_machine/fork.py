"""The PUT of a VM that goes on from the memory in a restore point: an addition of Skerry's to `imageReference.id`.

It has the size, the disk and the accounts of the VM that it is forked from, and an identity of its own.
"""

import uuid

import msgspec

from skerry.arm.descriptor import PutContext
from skerry.arm.errors import BadRequest
from skerry.arm.rows import body_of
from skerry.resources.compute.checkpoints import POINT, Checkpoint, check_made, checkpoint_of, disk_point_id
from skerry.resources.compute.disk import model as disks
from skerry.resources.compute.passwords import check_computer_name
from skerry.resources.compute.virtual_machine.wire import OsDisk, OsProfile, VirtualMachine
from skerry.store import ResourceRow

_TARGET = "imageReference.id"


def is_restore_point(text: str) -> bool:
    """Whether an id means a restore point, and not an image."""
    return "/restorepoints/" in text.lower()


def fork(context: PutContext[VirtualMachine], text: str, disk: OsDisk) -> ResourceRow:
    """Check that the VM can go on from the restore point; the row of its OS disk, made. Raises ArmError."""
    point = context.refer(text, POINT, "fork", target=_TARGET)
    check_made(context.work, point, _TARGET)
    kept = checkpoint_of(point)
    _check(context, point, kept, disk)
    context.new.properties.os_profile = _os_profile(context, point)
    context.row.private |= {
        "image": kept.image,
        "firmware": kept.firmware,
        "fork": {"point": point.key, "checkpoint": kept.id},
    }
    name = disk.name or f"{context.new.name}_OsDisk_1_{uuid.uuid4().hex}"
    source = disk_point_id(point, kept.disks[0])
    sku = disk.managed_disk.storage_account_type if disk.managed_disk else None
    return disks.create_fork_disk(context, name, kept, kept.disks[0], source=source, sku=sku)


def _check(context: PutContext[VirtualMachine], point: ResourceRow, kept: Checkpoint, disk: OsDisk) -> None:
    properties = context.new.properties
    if not kept.memory:
        raise BadRequest(
            "InvalidParameter",
            f"Restore point {point.id} holds no memory to go on from. Make a disk of its disk restore point "
            "(creationData.createOption Restore) and a VM on that disk (osDisk.createOption Attach), or make a restore "
            "point with memory: tag its collection skerry.memory=on.",
            target=_TARGET,
        )
    size = properties.hardware_profile.vm_size if properties.hardware_profile else ""
    if size != kept.size:
        raise BadRequest(
            "InvalidParameter",
            f"The restore point holds the memory of a VM of size {kept.size}: a VM of size {size} can't go on from it. "
            f"Ask for {kept.size}, and resize the VM afterwards.",
            target="hardwareProfile.vmSize",
        )
    nics = [link for link in context.links if link.kind == "nic"]
    if len(nics) != len(kept.macs):
        raise BadRequest(
            "InvalidParameter",
            f"The VM of the restore point has {len(kept.macs)} network interfaces, and so has one that goes on from "
            f"it: {len(nics)} are given.",
            target="networkProfile.networkInterfaces",
        )
    if disk.disk_size_gb not in (None, kept.disks[0].size_gb):
        raise BadRequest(
            "InvalidParameter",
            f"The disk has {kept.disks[0].size_gb} GB, as in the restore point. Leave diskSizeGB out.",
            target="osDisk.diskSizeGB",
        )


def _os_profile(context: PutContext[VirtualMachine], point: ResourceRow) -> OsProfile:
    """The profile of the VM that was kept, with a name of its own."""
    given = context.new.properties.os_profile or OsProfile()
    source = body_of(point)["properties"]["sourceMetadata"].get("osProfile")
    if source is None:
        raise BadRequest(
            "InvalidParameter",
            "The VM of the restore point was made of a disk and has no osProfile: its accounts are not known. Make "
            "disks of the disk restore points instead (creationData.createOption Restore).",
            target=_TARGET,
        )
    profile = msgspec.convert(source, OsProfile)
    name = check_computer_name(given.computer_name or context.new.name)
    if given != OsProfile(computer_name=given.computer_name):
        raise BadRequest(
            "InvalidParameter",
            "A VM that goes on from a restore point has the accounts, keys and password of the VM that was kept, and "
            "doesn't boot: osProfile may have a computerName only.",
            target="osProfile",
        )
    profile.computer_name = name
    return profile
