"""Microsoft.Compute/virtualMachines on the wire.

Source: https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update. A member that isn't here is
refused by name; a member whose type is a single literal is one whose other values Skerry doesn't support.
"""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta, field

from skerry.arm.descriptor import NAME, ArmResource, Id, Properties, ReadOnly, Text
from skerry.resources.compute.disk.wire import DiskGb, StorageSku, Zone
from skerry.resources.compute.keys import MAX_KEY

Caching = Literal["None", "ReadOnly", "ReadWrite"]
DeleteOption = Literal["Delete", "Detach"]
_PARAMETER = {"code": "InvalidParameter"}
_PASSWORD = Meta(max_length=72, extra_json_schema={"writeOnly": True}, extra=_PARAMETER)
Base64 = Annotated[
    str,
    Meta(max_length=87380, extra_json_schema={"contentEncoding": "base64"}, extra=_PARAMETER),
]


class HardwareProfile(Properties):
    """The size by name."""

    vm_size: Text


class ImageReference(Properties):
    """A platform image. `exactVersion` is what `latest` was when the VM was made."""

    publisher: Text | None = None
    offer: Text | None = None
    sku: Text | None = None
    version: Text | None = None
    exact_version: ReadOnly[Text | None] = None
    id: Id | None = None
    community_gallery_image_id: Id | None = None
    shared_gallery_image_id: Id | None = None


class ManagedDisk(Properties):
    """The disk resource behind a VM's disk."""

    id: Id | None = None
    storage_account_type: StorageSku | None = None


class OsDisk(Properties, kw_only=True):
    """The disk that the VM boots."""

    create_option: Literal["FromImage", "Attach"]
    os_type: Literal["Linux", "Windows"] | None = None
    name: Annotated[str, Meta(pattern=rf"\A{NAME.pattern}\Z")] | None = None
    caching: Caching | None = None
    write_accelerator_enabled: Literal[False] | None = None
    managed_disk: ManagedDisk | None = None
    disk_size_gb: DiskGb | None = field(default=None, name="diskSizeGB")
    delete_option: DeleteOption | None = None


class StorageProfile(Properties):
    """Image and disks."""

    image_reference: ImageReference | None = None
    os_disk: OsDisk | None = None
    data_disks: Annotated[list[Any], Meta(max_length=64)] | None = None
    disk_controller_type: Literal["SCSI"] | None = None


class NicProperties(Properties):
    """How the VM uses a NIC."""

    primary: bool | None = None
    delete_option: DeleteOption | None = None


class NicReference(Properties, kw_only=True):
    """One NIC of the VM."""

    id: Id
    properties: NicProperties | None = None
    primary: bool | None = None
    delete_option: DeleteOption | None = None


class NetworkProfile(Properties):
    """The VM's NICs."""

    network_interfaces: Annotated[list[NicReference], Meta(max_length=32)] = []


class AuthorizedKey(Properties):
    """One authorised key; Azure allows only `/home/<adminUsername>/.ssh/authorized_keys` as its path."""

    path: Text | None = None
    key_data: Annotated[str, Meta(max_length=MAX_KEY)] | None = None


class SshConfiguration(Properties):
    """Keys for the administrator."""

    public_keys: Annotated[list[AuthorizedKey], Meta(max_length=32)] = []


class PatchSettings(Properties):
    """The guest patches itself as its image is set up to."""

    patch_mode: Literal["ImageDefault"] | None = None
    assessment_mode: Literal["ImageDefault"] | None = None


class LinuxConfiguration(Properties):
    """How a Linux guest is provisioned."""

    disable_password_authentication: bool | None = None
    ssh: SshConfiguration | None = None
    provision_vm_agent: bool | None = field(default=None, name="provisionVMAgent")
    patch_settings: PatchSettings | None = None
    enable_vm_agent_platform_updates: Literal[False] | None = field(default=None, name="enableVMAgentPlatformUpdates")


class OsProfile(Properties):
    """What the guest is told at its first boot. `adminPassword` and `customData` are never shown again."""

    computer_name: Annotated[str, Meta(max_length=64, extra=_PARAMETER)] | None = None
    admin_username: Annotated[str, Meta(max_length=32, extra=_PARAMETER)] | None = None
    admin_password: Annotated[str, _PASSWORD] | None = None
    custom_data: Base64 | None = None
    linux_configuration: LinuxConfiguration | None = None
    secrets: Annotated[list[Any], Meta(max_length=64)] | None = None
    allow_extension_operations: bool | None = None
    require_guest_provision_signal: Literal[True] | None = None


class BootDiagnostics(Properties):
    """Whether the serial log may be read; `storageUri` isn't supported: logs stay with the host."""

    enabled: bool | None = None


class DiagnosticsProfile(Properties):
    """Diagnostics settings."""

    boot_diagnostics: BootDiagnostics | None = None


class SecurityProfile(Properties):
    """Only the standard kind of VM."""

    security_type: Literal["Standard"] | None = None
    encryption_at_host: Literal[False] | None = None


class AdditionalCapabilities(Properties):
    """Capabilities that can only be off."""

    ultra_ssd_enabled: Literal[False] | None = field(default=None, name="ultraSSDEnabled")
    hibernation_enabled: Literal[False] | None = None


class VmProperties(Properties):
    """`properties` of a VM."""

    hardware_profile: HardwareProfile | None = None
    storage_profile: StorageProfile | None = None
    network_profile: NetworkProfile | None = None
    os_profile: OsProfile | None = None
    diagnostics_profile: DiagnosticsProfile | None = None
    security_profile: SecurityProfile | None = None
    additional_capabilities: AdditionalCapabilities | None = None
    priority: Literal["Regular"] | None = None
    user_data: Base64 | None = None
    provisioning_state: ReadOnly[str | None] = None
    vm_id: ReadOnly[str | None] = None
    time_created: ReadOnly[str | None] = None
    instance_view: ReadOnly[dict[str, Any] | None] = None


class VirtualMachine(ArmResource, kw_only=True):
    """A virtual machine."""

    zones: Annotated[list[Zone], Meta(max_length=3)] | None = None
    properties: VmProperties


class SerialLog(TypedDict):
    """What retrieveBootDiagnosticsData answers: a signed link to the serial log."""

    serialConsoleLogBlobUri: str


class Status(TypedDict):
    """One status of an instance view."""

    code: str
    level: Literal["Info", "Warning", "Error"]
    displayStatus: str
    message: NotRequired[str]
    time: NotRequired[str]


class DiskInstance(TypedDict):
    """A disk in an instance view."""

    name: str
    statuses: list[Status]


class AgentInstance(TypedDict):
    """What stands for the VM agent in an instance view."""

    vmAgentVersion: str
    statuses: list[Status]


class InstanceView(TypedDict):
    """A VM as it runs now."""

    computerName: NotRequired[str]
    hyperVGeneration: NotRequired[Literal["V1", "V2"]]
    vmAgent: NotRequired[AgentInstance]
    disks: list[DiskInstance]
    bootDiagnostics: NotRequired[dict[str, str]]
    statuses: list[Status]
