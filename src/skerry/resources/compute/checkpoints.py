"""What a restore point keeps of a VM, for those that make something of it: VMs that go on from it, and disks."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from skerry.arm.descriptor import PutContext
from skerry.arm.errors import BadRequest, Conflict
from skerry.arm.ids import parse_id
from skerry.arm.locations import normalise
from skerry.store import ResourceRow, UnitOfWork

COLLECTION = "Microsoft.Compute/restorePointCollections"
POINT = f"{COLLECTION}/restorePoints"
DISK_POINT = f"{POINT}/diskRestorePoints"


class KeptDisk(Struct):
    """One disk: the name of its disk restore point, its id on the host, and what a disk made of it is."""

    name: str
    disk: str
    size_gb: int
    os_type: Literal["Linux", "Windows"] | None = None
    generation: Literal["V1", "V2"] | None = None
    architecture: Literal["x64", "Arm64"] | None = None


class Checkpoint(Struct):
    """A VM as its host keeps it. `id`, `host`, `vm`: the host's names. `size`, `macs`: of the machine then.

    `memory`: the running machine was asked for; `disks`: the OS disk first.
    """

    id: str
    host: str
    vm: str
    memory: bool
    size: str
    macs: list[str]
    firmware: str
    image: str | None
    disks: list[KeptDisk]


def checkpoint_of(point: ResourceRow) -> Checkpoint:
    """What the row of a restore point says that it keeps."""
    return msgspec.convert(point.private["checkpoint"], Checkpoint)


def disk_point_id(point: ResourceRow, disk: KeptDisk) -> str:
    """The id of a disk restore point."""
    return f"{point.id}/diskRestorePoints/{disk.name}"


def find_disk(context: PutContext[Any], text: str, target: str) -> tuple[ResourceRow, KeptDisk]:
    """The restore point that has the disk restore point with this id, and the disk in it. Raises ArmError."""
    found = parse_id(text, target)
    if found.type.lower() != DISK_POINT.lower():
        raise BadRequest("InvalidParameter", f"'{text}' is not the id of a {DISK_POINT}.", target=target)
    row = context.service.find(context.work, found)
    if row is None or normalise(row.location) != normalise(context.new.location or ""):
        raise BadRequest(
            "InvalidResourceReference",
            f"Resource {found} referenced by resource {context.id} was not found. Please make sure that the referenced "
            "resource exists, and that both resources are in the same region.",
            target=target,
        )
    check_made(context.work, row, target)
    return row, next(disk for disk in checkpoint_of(row).disks if disk.name.lower() == found.name.lower())


def check_made(work: UnitOfWork, point: ResourceRow, target: str) -> None:
    """Raises Conflict for a restore point that isn't there yet, or no more."""
    kept = checkpoint_of(point)
    seen = work.hosts.checkpoint(kept.host, kept.id)
    if point.state == "Succeeded" and (seen is None or not seen.ready):
        raise Conflict(
            "RestorePointLost",
            f"What restore point {point.id} kept is not on its host ({kept.host}) any more. Delete the restore point.",
            target=target,
        )
    if point.state != "Succeeded":
        raise Conflict(
            "ReferencedResourceNotProvisioned",
            f"Restore point {point.id} is not ready: its provisioning state is {point.state}.",
            target=target,
        )
