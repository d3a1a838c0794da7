"""Microsoft.Compute/virtualMachines on the wire.

Source: https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update. A member that isn't here is
refused by name; a member whose type is a single literal is one whose other values Skerry doesn't support.
"""

from typing import Any, Literal

from msgspec import field

from skerry.arm.descriptor import ArmResource, Properties
from skerry.resources.compute.disk.wire import StorageSku

Caching = Literal["None", "ReadOnly", "ReadWrite"]
DeleteOption = Literal["Delete", "Detach"]


class HardwareProfile(Properties):
    """The size by name."""

    vm_size: str


class ImageReference(Properties):
    """A platform image. `exactVersion` is what `latest` was when the VM was made."""

    publisher: str | None = None
    offer: str | None = None
    sku: str | None = None
    version: str | None = None
    exact_version: str | None = None
    id: str | None = None
    community_gallery_image_id: str | None = None
    shared_gallery_image_id: str | None = None


class ManagedDisk(Properties):
    """The disk resource behind a VM's disk."""

    id: str | None = None
    storage_account_type: StorageSku | None = None


class OsDisk(Properties, kw_only=True):
    """The disk that the VM boots."""

    create_option: str
    os_type: Literal["Linux", "Windows"] | None = None
    name: str | None = None
    caching: Caching | None = None
    write_accelerator_enabled: Literal[False] | None = None
    managed_disk: ManagedDisk | None = None
    disk_size_gb: int | None = field(default=None, name="diskSizeGB")
    delete_option: DeleteOption | None = None


class StorageProfile(Properties):
    """Image and disks."""

    image_reference: ImageReference | None = None
    os_disk: OsDisk | None = None
    data_disks: list[Any] | None = None
    disk_controller_type: Literal["SCSI"] | None = None


class NicProperties(Properties):
    """How the VM uses a NIC."""

    primary: bool | None = None
    delete_option: DeleteOption | None = None


class NicReference(Properties, kw_only=True):
    """One NIC of the VM."""

    id: str
    properties: NicProperties | None = None
    primary: bool | None = None
    delete_option: DeleteOption | None = None


class NetworkProfile(Properties):
    """The VM's NICs."""

    network_interfaces: list[NicReference] = []


class SshPublicKey(Properties):
    """One authorised key; Azure allows only `/home/<adminUsername>/.ssh/authorized_keys` as its path."""

    path: str | None = None
    key_data: str | None = None


class SshConfiguration(Properties):
    """Keys for the administrator."""

    public_keys: list[SshPublicKey] = []


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

    computer_name: str | None = None
    admin_username: str | None = None
    admin_password: str | None = None
    custom_data: str | None = None
    linux_configuration: LinuxConfiguration | None = None
    secrets: list[Any] | None = None
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
    user_data: str | None = None
    provisioning_state: str | None = None
    vm_id: str | None = None
    time_created: str | None = None
    instance_view: dict[str, Any] | None = None  # read-only: a client that PUTs what it read sends it back


class VirtualMachine(ArmResource, kw_only=True):
    """A virtual machine."""

    zones: list[Literal["1", "2", "3"]] | None = None
    properties: VmProperties
