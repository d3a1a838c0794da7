"""The PUT of a VM that isn't there yet: everything checked and completed, its OS disk's row made."""

import base64
import binascii
import time
import uuid

from skerry.arm.descriptor import PutContext
from skerry.arm.errors import BadRequest, Conflict
from skerry.arm.ids import parse_id
from skerry.arm.rows import model_of, new_operation, timestamp
from skerry.hostspec import ImageObserved, template_id
from skerry.resources.compute.catalogue.images import resolve
from skerry.resources.compute.catalogue.sizes import Size, get_size
from skerry.resources.compute.catalogue.usages import check_quota
from skerry.resources.compute.disk import model as disks
from skerry.resources.compute.disk.wire import Disk
from skerry.resources.compute.keys import validate_public_key
from skerry.resources.compute.passwords import check_admin_username, check_computer_name, check_password, hash_password
from skerry.resources.compute.virtual_machine import steps
from skerry.resources.compute.virtual_machine.fork import fork, is_restore_point
from skerry.resources.compute.virtual_machine.model import may_start_warm, standby_key
from skerry.resources.compute.virtual_machine.wire import (
    ImageReference,
    LinuxConfiguration,
    ManagedDisk,
    NetworkProfile,
    NicProperties,
    OsDisk,
    OsProfile,
    StorageProfile,
    VirtualMachine,
)
from skerry.store import Link

NIC = "Microsoft.Network/networkInterfaces"
MAX_CUSTOM_DATA = 65535


def missing(name: str) -> BadRequest:
    """Azure's refusal of a body without a member that it needs."""
    return BadRequest("InvalidParameter", f"Required parameter '{name}' is missing (null).", target=name)


def invalid(message: str, target: str) -> BadRequest:
    """Azure's refusal of a value."""
    return BadRequest("InvalidParameter", message, target=target)


def create(context: PutContext[VirtualMachine]) -> None:
    """Check and complete a new VM, make its OS disk's row, and start the operation that makes it real."""
    properties = context.new.properties
    if properties.hardware_profile is None:
        raise missing("hardwareProfile")
    size = get_size(properties.hardware_profile.vm_size)
    properties.hardware_profile.vm_size = size.name
    check_quota(context.work, context.service.memory, size, context.new.location or "")
    if context.new.zones is not None and len(context.new.zones) != 1:
        raise invalid("A virtual machine can be in one zone only.", "zones")
    context.row.private = {
        "vm": str(uuid.uuid4()),
        "host": "",
        "power": "running",
        "start": 1,
        "restart": 0,
        "unmade": True,
    }
    check_nics(context, properties.network_profile)
    check_nic_count(context.new, size)
    storage = properties.storage_profile
    if storage is None or storage.os_disk is None:
        raise missing("storageProfile.osDisk" if storage else "storageProfile")
    check_data_disks(storage)
    if storage.os_disk.create_option == "FromImage":
        _from_image(context, storage, storage.os_disk)
    else:
        _attach(context, storage, storage.os_disk)
    keep_user_data(context)
    properties.vm_id, properties.time_created = context.row.private["vm"], timestamp(time.time())
    properties.instance_view, properties.provisioning_state = None, "Creating"
    context.operation = new_operation(context.row, steps.CREATE.name, seconds=steps.PROVISION_SECONDS)


def check_nics(context: PutContext[VirtualMachine], profile: NetworkProfile | None) -> None:
    """Every NIC exists and is free, and exactly one is primary."""
    if profile is None or not profile.network_interfaces:
        raise missing("networkProfile.networkInterfaces")
    for nic in profile.network_interfaces:
        if nic.primary is not None or nic.delete_option is not None:
            raise invalid("primary and deleteOption stand in a NIC reference's properties.", "networkInterfaces")
        row = context.refer(nic.id, NIC, "nic", target="networkProfile.networkInterfaces.id")
        other = [link for link in context.work.resources.links_to(row.key, "nic") if link.source != context.id.key]
        if other:
            raise Conflict("NicInUse", f"Network Interface {row.id} is used by existing resource {other[0].source}.")
        nic.id = row.id
    if len({link.target for link in context.links if link.kind == "nic"}) != len(profile.network_interfaces):
        raise invalid("A network interface is named twice.", "networkProfile.networkInterfaces")
    primaries = [n for n in profile.network_interfaces if n.properties and n.properties.primary]
    if len(profile.network_interfaces) == 1:
        # Azure's clients look for the primary NIC in what they read (`az vm nic add`).
        nic = profile.network_interfaces[0]
        nic.properties = nic.properties or NicProperties()
        nic.properties.primary = True
    elif len(primaries) != 1:
        raise BadRequest(
            "VirtualMachineMustHaveOneNetworkInterfaceAsPrimary",
            "Virtual machine must have one network interface set as the primary.",
            target="networkProfile",
        )


def check_nic_count(vm: VirtualMachine, size: Size) -> None:
    """Raises BadRequest for more NICs than the size may have."""
    profile = vm.properties.network_profile
    count = len(profile.network_interfaces) if profile else 0
    if count > size.max_nics:
        raise BadRequest(
            "NetworkInterfaceCountExceeded",
            f"The number of network interfaces for virtual machine {vm.name} exceeds the maximum allowed for the "
            f"virtual machine size {size.name}. The number of network interfaces is {count} and the maximum allowed is "
            f"{size.max_nics}.",
            target="networkProfile",
        )


def check_data_disks(storage: StorageProfile) -> None:
    """Azure shows an empty list; anything in it is refused."""
    if storage.data_disks:
        raise BadRequest(
            "NotSupported",
            "Skerry does not support data disks yet: make the OS disk larger with osDisk.diskSizeGB instead.",
            target="storageProfile.dataDisks",
        )
    storage.data_disks = []


def _from_image(context: PutContext[VirtualMachine], storage: StorageProfile, disk: OsDisk) -> None:
    reference = storage.image_reference
    if reference is None:
        raise missing("imageReference")
    if disk.managed_disk is not None and disk.managed_disk.id is not None:
        raise invalid("managedDisk.id goes with createOption Attach only.", "osDisk.managedDisk.id")
    if reference.id is not None and is_restore_point(reference.id):
        row = fork(context, reference.id, disk)
        _complete_disk(context, disk, row.id, model_of(row, Disk))
        return
    image = _image(context, reference)
    context.row.private |= {"image": image.id, "firmware": "uefi" if image.generation == "V2" else "bios"}
    _take_standby(context)
    smallest = disks.image_size_gb(image)
    size = disk.disk_size_gb or disks.default_os_disk_gb(image)
    if size < smallest:
        raise BadRequest(
            "ResizeDiskError",
            f"The specified disk size {size} GB is smaller than the size of the corresponding disk in the VM image: "
            f"{smallest} GB.",
            target="osDisk.diskSizeGB",
        )
    name = disk.name or f"{context.new.name}_OsDisk_1_{uuid.uuid4().hex}"
    sku = disk.managed_disk.storage_account_type if disk.managed_disk else None
    image_id = _image_id(context, reference)
    row = disks.create_os_disk(context, name, image, image_id=image_id, size_gb=size, sku=sku)
    _complete_disk(context, disk, row.id, model_of(row, Disk))
    _check_os_profile(context, context.new.properties.os_profile)


def _take_standby(context: PutContext[VirtualMachine]) -> None:
    """If a machine stands by that could be the VM, let it be: the VM gets its vmId, on which more depends there."""
    private, profile = context.row.private, context.new.properties.hardware_profile
    assert profile is not None
    size = get_size(profile.vm_size)
    template = template_id(private["image"], size.vcpus, size.memory_bytes, private["firmware"])
    free = (vm for vm in context.work.hosts.standbys(template) if not context.work.resources.links_to(standby_key(vm)))
    if (vm := next(free, None)) is not None and _may_stand_by(context):
        private |= {"vm": vm, "standby": True}
        context.links.append(Link(context.row.key, standby_key(vm), "standby"))


def _may_stand_by(context: PutContext[VirtualMachine]) -> bool:
    """Machines stand by for VMs that may start warm with one NIC, and one that never had a MAC address."""
    nics = [context.work.resources.get(link.target) for link in context.links if link.kind == "nic"]
    new = [nic for nic in nics if nic is not None and "mac" not in nic.private]
    return len(nics) == len(new) == 1 and may_start_warm(context.work, context.row, context.new)


def _image(context: PutContext[VirtualMachine], reference: ImageReference) -> ImageObserved:
    if reference.id or reference.community_gallery_image_id or reference.shared_gallery_image_id:
        raise invalid(
            "Custom and gallery images are not supported. Bring the image with `skerry image import FILE --name NAME` "
            "and ask for it by that name.",
            "imageReference.id",
        )
    parts = [reference.publisher, reference.offer, reference.sku, reference.version or "latest"]
    if not all(parts):
        raise missing("imageReference.publisher, offer, sku and version")
    image = resolve(context.work, *[part or "" for part in parts])
    reference.version = reference.version or "latest"
    reference.exact_version = image.version
    return image


def _image_id(context: PutContext[VirtualMachine], reference: ImageReference) -> str:
    return (
        f"/Subscriptions/{context.id.subscription}/Providers/Microsoft.Compute/Locations/{context.new.location}"
        f"/Publishers/{reference.publisher}/ArtifactTypes/VMImage/Offers/{reference.offer}/Skus/{reference.sku}"
        f"/Versions/{reference.exact_version}"
    )


def _attach(context: PutContext[VirtualMachine], storage: StorageProfile, disk: OsDisk) -> None:
    if storage.image_reference is not None:
        raise invalid("Parameter 'imageReference' is not allowed with osDisk.createOption Attach.", "imageReference")
    if context.new.properties.os_profile is not None:
        raise invalid("Parameter 'osProfile' is not allowed with osDisk.createOption Attach.", "osProfile")
    if disk.managed_disk is None or disk.managed_disk.id is None:
        raise missing("osDisk.managedDisk.id")
    found = parse_id(disk.managed_disk.id, "osDisk.managedDisk.id")
    row = context.refer(disk.managed_disk.id, disks.TYPE, "disk", target="osDisk.managedDisk.id")
    owner = disks.attached_to(context.work, row.key)
    if owner is not None and owner != context.id.key:
        raise Conflict(
            "AttachDiskWhileBeingDetached" if row.operation else "ConflictingUserInput",
            f"Disk {found.name} cannot be attached as the disk is already owned by VM {owner}.",
            target="osDisk.managedDisk.id",
        )
    model = model_of(row, Disk)
    if model.properties.os_type is None:
        raise invalid(f"Disk {found.name} holds no operating system: it has no osType.", "osDisk.managedDisk.id")
    firmware = "bios" if model.properties.hyper_v_generation == "V1" else "uefi"
    context.row.private |= {"image": None, "firmware": firmware}
    disk.disk_size_gb = model.properties.disk_size_gb
    _complete_disk(context, disk, row.id, model)


def _complete_disk(context: PutContext[VirtualMachine], disk: OsDisk, disk_id: str, model: Disk) -> None:
    disk.name = model.name
    disk.os_type = model.properties.os_type
    disk.caching = disk.caching or "ReadWrite"
    disk.disk_size_gb = model.properties.disk_size_gb
    disk.delete_option = disk.delete_option or "Detach"
    disk.managed_disk = ManagedDisk(id=disk_id, storage_account_type=model.sku.name if model.sku else None)
    if disk.create_option == "FromImage":
        context.refer(disk_id, disks.TYPE, "disk", target="osDisk.managedDisk.id")


def _check_os_profile(context: PutContext[VirtualMachine], profile: OsProfile | None) -> None:
    if profile is None:
        raise missing("osProfile")
    profile.computer_name = check_computer_name(profile.computer_name or context.new.name)
    if profile.admin_username is None:
        raise missing("osProfile.adminUsername")
    check_admin_username(profile.admin_username)
    linux = profile.linux_configuration = profile.linux_configuration or LinuxConfiguration()
    keys = linux.ssh.public_keys if linux.ssh else []
    home = f"/home/{profile.admin_username}/.ssh/authorized_keys"
    for key in keys:
        if (key.path or home) != home:
            raise invalid(f"The path of an SSH key must be {home}.", "linuxConfiguration.ssh.publicKeys.path")
        key.path, key.key_data = home, validate_public_key(key.key_data or "")
    if linux.disable_password_authentication is None:
        linux.disable_password_authentication = profile.admin_password is None
    _keep_password(context, profile, has_keys=bool(keys), linux=linux)
    context.row.private["custom_data"] = _base64(profile.custom_data, "customData")
    _remember(context, "customData", profile.custom_data)
    profile.custom_data = None
    if profile.secrets:
        raise invalid("Certificates from a key vault are not supported: leave secrets out.", "osProfile.secrets")
    linux.provision_vm_agent = linux.provision_vm_agent is not False
    profile.allow_extension_operations = linux.provision_vm_agent and profile.allow_extension_operations is not False
    profile.secrets, profile.require_guest_provision_signal = [], True


def _keep_password(
    context: PutContext[VirtualMachine], profile: OsProfile, *, has_keys: bool, linux: LinuxConfiguration
) -> None:
    if linux.disable_password_authentication and not has_keys:
        raise invalid(
            "Authentication using either SSH or by user name and password must be enabled in Linux profile.",
            "linuxConfiguration",
        )
    if profile.admin_password is None:
        if not has_keys or not linux.disable_password_authentication:
            raise missing("adminPassword")
        return
    check_password(profile.admin_password)
    context.row.private["password_hash"] = hash_password(profile.admin_password)
    _remember(context, "adminPassword", profile.admin_password)
    profile.admin_password = None


def _remember(context: PutContext[VirtualMachine], name: str, secret: str | None) -> None:
    """So that the same PUT sent again can be told from one that wants another secret."""
    if secret is not None:
        fingerprint = context.service.installation.secrets.fingerprint(secret)
        context.row.private.setdefault("given", {})[name] = fingerprint


def keep_user_data(context: PutContext[VirtualMachine]) -> None:
    """userData goes to the metadata document and isn't part of the body."""
    if context.new.properties.user_data is not None:
        context.row.private["user_data"] = _base64(context.new.properties.user_data, "userData")
        context.new.properties.user_data = None


def _base64(text: str | None, target: str) -> str | None:
    if text is None:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(
            f"{target} must be in Base64 encoding and can only contain up to 87380 characters.", target
        ) from (error)
    if len(data) > MAX_CUSTOM_DATA:
        raise invalid(f"{target} must be in Base64 encoding and can only contain up to 87380 characters.", target)
    return text
