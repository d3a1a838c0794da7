"""Restore points on the wire (https://learn.microsoft.com/rest/api/compute/restore-points)."""

from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta, field

from skerry.arm.descriptor import ArmResource, Properties, ReadOnly, SubResource
from skerry.resources.compute.disk.wire import Encryption, SupportedCapabilities
from skerry.resources.compute.virtual_machine.wire import (
    Caching,
    DiagnosticsProfile,
    HardwareProfile,
    ManagedDisk,
    OsProfile,
    Status,
)


class DiskRestorePointProperties(Properties):
    """What a disk was when the point was made."""

    time_created: ReadOnly[str | None] = None
    source_resource_id: ReadOnly[str | None] = None
    source_resource_location: ReadOnly[str | None] = None
    source_unique_id: ReadOnly[str | None] = None
    family_id: ReadOnly[str | None] = None
    os_type: ReadOnly[Literal["Linux", "Windows"] | None] = None
    hyper_v_generation: ReadOnly[Literal["V1", "V2"] | None] = None
    supported_capabilities: ReadOnly[SupportedCapabilities | None] = None
    encryption: ReadOnly[Encryption | None] = None
    network_access_policy: ReadOnly[Literal["AllowAll"] | None] = None
    public_network_access: ReadOnly[Literal["Enabled"] | None] = None
    completion_percent: ReadOnly[float | None] = None


class DiskRestorePoint(Properties):
    """What one disk of a VM held when a restore point was made."""

    id: ReadOnly[str] = ""
    name: ReadOnly[str] = ""
    type: ReadOnly[str] = ""
    etag: ReadOnly[str | None] = None
    properties: DiskRestorePointProperties | None = None


class SourceOsDisk(Properties):
    """The VM's OS disk then, and what keeps its content."""

    os_type: ReadOnly[Literal["Linux", "Windows"] | None] = None
    name: ReadOnly[str | None] = None
    caching: ReadOnly[Caching | None] = None
    disk_size_gb: ReadOnly[int | None] = field(default=None, name="diskSizeGB")
    managed_disk: ReadOnly[ManagedDisk | None] = None
    disk_restore_point: ReadOnly[SubResource | None] = None


class SourceStorageProfile(Properties):
    """The VM's disks then."""

    os_disk: ReadOnly[SourceOsDisk | None] = None
    data_disks: ReadOnly[list[SourceOsDisk] | None] = None


class SourceMetadata(Properties):
    """The VM as it was then."""

    vm_id: ReadOnly[str | None] = None
    location: ReadOnly[str | None] = None
    hyper_v_generation: ReadOnly[Literal["V1", "V2"] | None] = None
    hardware_profile: ReadOnly[HardwareProfile | None] = None
    storage_profile: ReadOnly[SourceStorageProfile | None] = None
    os_profile: ReadOnly[OsProfile | None] = None
    diagnostics_profile: ReadOnly[DiagnosticsProfile | None] = None


class Kept(Properties):
    """Skerry's own: whether the running machine is kept too, what that takes, and how long the guest stood still.

    `memory` may be asked for; left out, the collection's tag `skerry.memory` decides. Bytes and seconds.
    """

    memory: bool | None = None
    size_bytes: ReadOnly[int | None] = None
    pause_seconds: ReadOnly[float | None] = None
    disk_pause_seconds: ReadOnly[float | None] = None


class RestorePointProperties(Properties):
    """`properties` of a restore point."""

    exclude_disks: Annotated[list[SubResource], Meta(max_length=64)] | None = None
    consistency_mode: Literal["CrashConsistent", "FileSystemConsistent", "ApplicationConsistent"] | None = None
    source_restore_point: SubResource | None = None
    skerry: Kept | None = None
    source_metadata: ReadOnly[SourceMetadata | None] = None
    disk_restore_points: ReadOnly[list[DiskRestorePoint] | None] = None
    time_created: ReadOnly[str | None] = None
    provisioning_state: ReadOnly[str | None] = None
    instance_view: ReadOnly[dict[str, Any] | None] = None


class RestorePoint(ArmResource, kw_only=True):
    """What a VM was at one moment."""

    properties: RestorePointProperties | None = None


class ReplicationStatus(TypedDict):
    """Whether a disk's content is there; it always is once the point is made."""

    status: Status
    completionPercent: int


class DiskRestorePointInstance(TypedDict):
    """One disk in an instance view."""

    id: str
    replicationStatus: ReplicationStatus


class RestorePointInstance(TypedDict):
    """A restore point as it is now."""

    diskRestorePoints: list[DiskRestorePointInstance]
    statuses: list[Status]
