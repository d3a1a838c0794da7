"""Microsoft.Compute/disks on the wire (https://learn.microsoft.com/rest/api/compute/disks)."""

from typing import Annotated, Literal

from msgspec import Meta, field

from skerry.arm.descriptor import ArmResource, Id, Properties, ReadOnly, Text

StorageSku = Literal["Standard_LRS", "StandardSSD_LRS", "Premium_LRS", "StandardSSD_ZRS", "Premium_ZRS"]
DiskGb = Annotated[int, Meta(ge=1, le=32767, extra={"code": "InvalidParameter"})]
Zone = Literal["1", "2", "3"]


class DiskSku(Properties):
    """What a disk would cost on Azure; on the host all are alike."""

    name: StorageSku
    tier: Text | None = None


def disk_sku(name: StorageSku | None = None) -> DiskSku:
    """The SKU with its tier; Azure's clients ask for Premium where they say nothing."""
    name = name or "Premium_LRS"
    return DiskSku(name=name, tier=name.split("_", maxsplit=1)[0])


class ImageDiskReference(Properties):
    """The image version that a disk was made from."""

    id: Id


class CreationData(Properties):
    """How the disk came to be."""

    create_option: Literal["FromImage", "Empty", "Attach", "Restore"]
    image_reference: ImageDiskReference | None = None
    source_resource_id: Id | None = None


class Encryption(Properties):
    """At rest, by the platform: whatever the host's own disks are encrypted with."""

    type: Literal["EncryptionAtRestWithPlatformKey"] | None = None


Architecture = Literal["x64", "Arm64"]


class SupportedCapabilities(Properties):
    """What a VM on this disk can be."""

    architecture: Architecture | None = None
    disk_controller_types: Text | None = None
    accelerated_network: bool | None = None


class DiskProperties(Properties):
    """`properties` of a disk. Sizes are in GiB where the name says GB, as Azure has it."""

    creation_data: CreationData | None = None
    disk_size_gb: DiskGb | None = field(default=None, name="diskSizeGB")
    os_type: Literal["Linux", "Windows"] | None = None
    hyper_v_generation: Literal["V1", "V2"] | None = None
    supported_capabilities: SupportedCapabilities | None = None
    encryption: Encryption | None = None
    network_access_policy: Literal["AllowAll"] | None = None
    public_network_access: Literal["Enabled"] | None = None
    disk_size_bytes: ReadOnly[int | None] = None
    disk_state: ReadOnly[str | None] = None
    time_created: ReadOnly[str | None] = None
    unique_id: ReadOnly[str | None] = None
    provisioning_state: ReadOnly[str | None] = None


class Disk(ArmResource, kw_only=True):
    """A managed disk."""

    sku: DiskSku | None = None
    zones: Annotated[list[Zone], Meta(max_length=3)] | None = None
    managed_by: ReadOnly[str | None] = None
    properties: DiskProperties
