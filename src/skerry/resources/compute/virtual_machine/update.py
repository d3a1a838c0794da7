"""The PUT of a VM that is there: keep what the body leaves out, refuse what Azure doesn't let change, resize."""

from typing import TypeVar

from skerry.arm.descriptor import PutContext
from skerry.arm.errors import Conflict
from skerry.arm.rows import new_operation
from skerry.resources.compute.catalogue.sizes import get_size
from skerry.resources.compute.catalogue.usages import check_quota
from skerry.resources.compute.virtual_machine import steps
from skerry.resources.compute.virtual_machine.create import (
    check_data_disks,
    check_nic_count,
    check_nics,
    keep_user_data,
    missing,
)
from skerry.resources.compute.virtual_machine.wire import (
    LinuxConfiguration,
    OsDisk,
    OsProfile,
    StorageProfile,
    VirtualMachine,
)

T = TypeVar("T")


def update(context: PutContext[VirtualMachine], old: VirtualMachine) -> None:
    """Check and complete a changed VM; a change that its host must see starts an operation."""
    new, before = context.new, old.properties
    if context.row.operation:
        raise Conflict(
            "Conflict", f"Another operation is in progress on virtual machine '{old.name}'. Wait for it and try again."
        )
    properties = new.properties
    new.zones = keep("zones", old.zones, new.zones)
    properties.vm_id = keep("vmId", before.vm_id, properties.vm_id)
    properties.time_created, properties.instance_view = before.time_created, None
    properties.diagnostics_profile = properties.diagnostics_profile or before.diagnostics_profile
    properties.storage_profile = _storage(before.storage_profile, properties.storage_profile)
    properties.os_profile = _os_profile(context, before.os_profile, properties.os_profile)
    for kind in ("disk", "fork", "standby"):
        context.links += context.work.resources.links_from(context.row.key, kind)
    keep_user_data(context)
    _nics(context, old)
    _size(context, old)


def keep(path: str, before: T | None, now: T | None) -> T | None:
    """The value before. Raises Conflict `PropertyChangeNotAllowed` if the body wants another."""
    if now is not None and now != before:
        raise Conflict("PropertyChangeNotAllowed", f"Changing property '{path}' is not allowed.", target=path)
    return before


def _storage(before: StorageProfile | None, now: StorageProfile | None) -> StorageProfile | None:
    if before is not None and now is not None:
        check_data_disks(now)
        before.data_disks = now.data_disks
    if before is None or now is None or now.os_disk is None:
        return before
    old, new = before.os_disk, now.os_disk
    assert old is not None
    image = now.image_reference
    if image is not None and before.image_reference is not None:
        for member in ("publisher", "offer", "sku", "version", "id"):
            keep(f"imageReference.{member}", getattr(before.image_reference, member), getattr(image, member))
    elif image is not None:
        keep("imageReference", before.image_reference, image)
    _os_disk(old, new)
    before.disk_controller_type = now.disk_controller_type or before.disk_controller_type
    return before


def _os_disk(old: OsDisk, new: OsDisk) -> None:
    keep("osDisk.createOption", old.create_option, new.create_option)
    keep("osDisk.name", old.name, new.name)
    keep("osDisk.osType", old.os_type, new.os_type)
    keep("osDisk.diskSizeGB", old.disk_size_gb, new.disk_size_gb)
    now, before = new.managed_disk, old.managed_disk
    if now is not None and before is not None and now.id is not None:
        keep("osDisk.managedDisk.id", (before.id or "").lower(), now.id.lower())
    old.caching = new.caching or old.caching
    old.delete_option = new.delete_option or old.delete_option


def _os_profile(
    context: PutContext[VirtualMachine], before: OsProfile | None, now: OsProfile | None
) -> OsProfile | None:
    if now is None:
        return before
    if before is None:
        return keep("osProfile", before, now)
    keep("osProfile.computerName", before.computer_name, now.computer_name)
    keep("osProfile.adminUsername", before.admin_username, now.admin_username)
    _keep_secret(context, "adminPassword", now.admin_password)
    _keep_secret(context, "customData", now.custom_data)
    _linux(before.linux_configuration, now.linux_configuration)
    return before


def _keep_secret(context: PutContext[VirtualMachine], name: str, now: str | None) -> None:
    """The same PUT may come again, with the same secret; only its fingerprint is kept."""
    fingerprint = context.service.installation.secrets.fingerprint(now) if now is not None else None
    keep(f"osProfile.{name}", context.row.private.get("given", {}).get(name), fingerprint)


def _linux(before: LinuxConfiguration | None, now: LinuxConfiguration | None) -> None:
    if now is None:
        return
    if before is None:
        keep("linuxConfiguration", before, now)
        return
    keep(
        "linuxConfiguration.disablePasswordAuthentication",
        before.disable_password_authentication,
        now.disable_password_authentication,
    )
    keep("linuxConfiguration.ssh.publicKeys", before.ssh, now.ssh)
    before.patch_settings = now.patch_settings or before.patch_settings


def _nics(context: PutContext[VirtualMachine], old: VirtualMachine) -> None:
    properties = context.new.properties
    if properties.network_profile is None:
        properties.network_profile = old.properties.network_profile
    before = {link.target for link in context.work.resources.links_from(context.row.key, "nic")}
    check_nics(context, properties.network_profile)
    now = {link.target for link in context.links if link.kind == "nic"}
    if now != before and context.row.private["host"]:
        raise Conflict(
            "OperationNotAllowed",
            f"The network interfaces of virtual machine '{old.name}' can be changed only while it is deallocated: "
            f"run `az vm deallocate -n {old.name}` first.",
            target="networkProfile.networkInterfaces",
        )


def _size(context: PutContext[VirtualMachine], old: VirtualMachine) -> None:
    properties = context.new.properties
    properties.hardware_profile = properties.hardware_profile or old.properties.hardware_profile
    if properties.hardware_profile is None or old.properties.hardware_profile is None:
        raise missing("hardwareProfile")
    size, before = get_size(properties.hardware_profile.vm_size), get_size(old.properties.hardware_profile.vm_size)
    properties.hardware_profile.vm_size = size.name
    check_nic_count(context.new, size)
    allocated = bool(context.row.private["host"])
    if size != before and allocated:
        check_quota(context.work, context.service.memory, size, context.new.location or "", replaces=before)
        properties.provisioning_state = "Updating"
        context.operation = new_operation(
            context.row, steps.RESIZE.name, seconds=steps.POWER_SECONDS, state={"from": before.name}
        )
    elif context.row.private.get("unmade"):
        properties.provisioning_state = "Creating"
        context.operation = new_operation(context.row, steps.CREATE.name, seconds=steps.PROVISION_SECONDS)
    elif allocated:
        properties.provisioning_state = "Updating"
        context.operation = new_operation(context.row, steps.REAPPLY.name, seconds=steps.POWER_SECONDS)
    else:
        properties.provisioning_state = "Succeeded"
