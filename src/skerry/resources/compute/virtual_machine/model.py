"""A VM's row: what is kept beside its body, and what its host should have of it.

`row.private`: `vm` (vmId), `host` ("" while deallocated), `leaving` (the host that it is to be gone from), `placement`
(why it is where it is, see `decision`), `power` (running or stopped: what is wanted), `start` and
`restart` (orders given so far), `hard`, `image` (id of its image, None for a specialised disk), `password_hash`,
`custom_data`, `user_data`, `provisioned` (the guest has reported Ready), `unmade` (its creation has not
succeeded yet: the same PUT tries again), `given` (fingerprints of the secrets in the PUT), `warm` (it may continue
from a template), `standby` (its vmId is that of a machine that stood by), `fork` (the restore point and the checkpoint
from whose memory it is to go on, until it has), `restore` (the checkpoint that it is being put back to, and the number
of the last such order), `restores` (the highest number that an order had), `restoring` (the restore point that it is
being put back to).
"""

import json
from typing import Any

from skerry.arm.ids import parse_id
from skerry.arm.rows import body_of, model_of
from skerry.hostspec import DiskAttachment, Provisioning, VmObserved, VmSpec
from skerry.placement import Choice
from skerry.resources.compute.catalogue.sizes import get_size
from skerry.resources.compute.virtual_machine.wire import OsProfile, VirtualMachine
from skerry.resources.network import spec as network
from skerry.store import ResourceRow, UnitOfWork

TYPE = "Microsoft.Compute/virtualMachines"
WARM_TAG = "skerry.warmstart"


def nic_keys(vm: VirtualMachine) -> list[str]:
    """The keys of the VM's NICs, the primary one first."""
    profile = vm.properties.network_profile
    references = profile.network_interfaces if profile else []
    ordered = sorted(references, key=lambda nic: not (nic.properties and nic.properties.primary))
    return [str(parse_id(nic.id)).lower() for nic in ordered]


def os_disk_key(vm: VirtualMachine) -> str:
    """The key of the VM's OS disk."""
    storage = vm.properties.storage_profile
    assert storage and storage.os_disk and storage.os_disk.managed_disk and storage.os_disk.managed_disk.id
    return str(parse_id(storage.os_disk.managed_disk.id)).lower()


def size_name(vm: VirtualMachine) -> str:
    """The VM's size by name."""
    assert vm.properties.hardware_profile is not None
    return vm.properties.hardware_profile.vm_size


def computer_name(vm: VirtualMachine) -> str:
    """The host name that DHCP and DNS use."""
    profile = vm.properties.os_profile
    return (profile.computer_name if profile else None) or vm.name


def observed(work: UnitOfWork, row: ResourceRow) -> VmObserved | None:
    """What the host last said of the VM; None while it has none."""
    host = row.private["host"]
    return work.hosts.vm(host, row.private["vm"]) if host else None


def decision(choice: Choice, at: float) -> dict[str, Any]:
    """What is kept of a placement: when, where among how many hosts, and why not elsewhere."""
    return {
        "at": at,
        "host": choice.host,
        "hosts": choice.hosts,
        "turnedDown": dict(choice.counts),
        "rejected": dict(choice.rejected),
    }


def spec_of(work: UnitOfWork, row: ResourceRow) -> VmSpec:
    """What the VM's host should have of it, from the row and the rows it refers to."""
    vm, private = model_of(row, VirtualMachine), row.private
    size = get_size(size_name(vm))
    keys = nic_keys(vm)
    nics = work.resources.get_many(keys)
    disk = work.resources.get(os_disk_key(vm))
    assert disk is not None
    return VmSpec(
        id=private["vm"],
        name=vm.name,
        vcpus=size.vcpus,
        memory_bytes=size.memory_bytes,
        disks=(DiskAttachment(disk.private["disk"]),),
        ports=tuple(network.port_id(key) for key in keys),
        macs=tuple(network.mac_of(nics[key]) for key in keys),
        power=private["power"],
        firmware=private["firmware"],
        start_generation=private["start"],
        restart_generation=private["restart"],
        hard_stop=private.get("hard", False),
        provisioning=_provisioning(vm, private),
        metadata=json.dumps(instance_metadata(work, row, vm)),
        warm=private.get("warm", True),
        fork_of=private.get("fork", {}).get("checkpoint"),
        restore_from=private.get("restore", {}).get("checkpoint"),
        restore_generation=private.get("restore", {}).get("generation", 0),
    )


def standby_key(vm: str) -> str:
    """The key by which a VM refers to the machine that stood by for it, whose vmId it has."""
    return f"standbys/{vm}"


def may_start_warm(work: UnitOfWork, row: ResourceRow, vm: VirtualMachine) -> bool:
    """Whether nobody has turned warm starts off, by the tag `skerry.warmStart=off` on the VM or its group."""
    group = work.resources.get(row.group_key)
    tags = {**(body_of(group).get("tags", {}) if group else {}), **(vm.tags or {})}
    return "off" not in {value.lower() for name, value in tags.items() if name.lower() == WARM_TAG}


def _provisioning(vm: VirtualMachine, private: dict[str, Any]) -> Provisioning | None:
    profile = vm.properties.os_profile
    if profile is None:
        return None
    linux = profile.linux_configuration
    return Provisioning(
        hostname=computer_name(vm),
        admin_username=profile.admin_username or "",
        ssh_public_keys=tuple(public_keys(profile)),
        password_hash=private.get("password_hash"),
        disable_password_authentication=bool(linux and linux.disable_password_authentication),
        custom_data=private.get("custom_data"),
    )


def public_keys(profile: OsProfile) -> list[str]:
    """The SSH keys of the administrator."""
    linux = profile.linux_configuration
    ssh = linux.ssh if linux else None
    return [(key.key_data or "").strip() for key in (ssh.public_keys if ssh else [])]


def instance_metadata(work: UnitOfWork, row: ResourceRow, vm: VirtualMachine) -> dict[str, Any]:
    """The document at 169.254.169.254/metadata/instance.

    Source: https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
    """
    return {"compute": _compute_metadata(row, vm), "network": network.network_metadata(work, nic_keys(vm))}


def _compute_metadata(row: ResourceRow, vm: VirtualMachine) -> dict[str, Any]:
    resource, profile = parse_id(row.id), vm.properties.os_profile
    storage = vm.properties.storage_profile
    image = storage.image_reference if storage else None
    linux = profile.linux_configuration if profile else None
    return {
        "azEnvironment": "Skerry",
        "customData": "",
        "location": vm.location,
        "name": vm.name,
        "offer": (image.offer if image else "") or "",
        "osType": "Linux",
        "osProfile": {
            "adminUsername": (profile.admin_username if profile else "") or "",
            "computerName": computer_name(vm),
            "disablePasswordAuthentication": str(bool(linux and linux.disable_password_authentication)).lower(),
        },
        "provider": "Microsoft.Compute",
        "publicKeys": [
            {"keyData": key, "path": f"/home/{profile.admin_username}/.ssh/authorized_keys"}
            for key in (public_keys(profile) if profile else [])
            if profile
        ],
        "publisher": (image.publisher if image else "") or "",
        "resourceGroupName": resource.group,
        "resourceId": row.id,
        "sku": (image.sku if image else "") or "",
        "subscriptionId": resource.subscription,
        "tags": ";".join(f"{name}:{value}" for name, value in (vm.tags or {}).items()),
        "tagsList": [{"name": name, "value": value} for name, value in (vm.tags or {}).items()],
        "userData": row.private.get("user_data") or "",
        "version": (image.exact_version if image else "") or "",
        "vmId": row.private["vm"],
        "vmSize": size_name(vm),
        "zone": vm.zones[0] if vm.zones else "",
    }
