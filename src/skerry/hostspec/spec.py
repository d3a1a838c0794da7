"""The desired state of one host, whole. The agent compares it with what runs and converges.

Absence is never an order to destroy data: a VM or VNet that is missing from the spec is torn down (processes,
ports, rules), but a disk file is removed only when a DiskSpec with `present=False` names it.
"""

import hashlib
from typing import Literal

from msgspec import Struct

Direction = Literal["Inbound", "Outbound"]
Protocol = Literal["Tcp", "Udp", "Icmp", "Esp", "Ah", "*"]


class SecurityRule(Struct, frozen=True):
    """One NSG rule, normalised. Lower `priority` is looked at first; the first match decides.

    Prefixes: CIDRs or one of the tags `*`, `VirtualNetwork`, `Internet`, `AzureLoadBalancer`.
    Ports: inclusive (first, last) pairs; (0, 65535) is any port.
    """

    name: str
    priority: int
    direction: Direction
    access: Literal["Allow", "Deny"]
    protocol: Protocol
    source_prefixes: tuple[str, ...]
    source_ports: tuple[tuple[int, int], ...]
    destination_prefixes: tuple[str, ...]
    destination_ports: tuple[tuple[int, int], ...]


class NsgSpec(Struct, frozen=True):
    """A network security group: its rules, Azure's six default rules included, in priority order."""

    id: str
    rules: tuple[SecurityRule, ...]


class SubnetSpec(Struct, frozen=True):
    """A subnet: one IPv4 CIDR. Its first usable address is the gateway, the next two belong to the platform."""

    id: str
    prefix: str
    nsg: str | None = None


class PortSpec(Struct, frozen=True):
    """One NIC of one VM, as the network sees it.

    `id` is opaque and safe as a file name (hex). `public_address` is a loopback address of the host, or None.
    `public_open`: a public address without any NSG lets everything in (Azure's Basic SKU), else nothing (Standard).
    """

    id: str
    vm: str
    mac: str
    address: str
    subnet: str
    hostname: str
    nsg: str | None = None
    public_address: str | None = None
    public_open: bool = False


class VnetSpec(Struct, frozen=True):
    """A virtual network with the ports that this host carries. `id` is opaque, hex, safe as a file name."""

    id: str
    prefixes: tuple[str, ...]
    subnets: tuple[SubnetSpec, ...]
    nsgs: tuple[NsgSpec, ...]
    ports: tuple[PortSpec, ...]
    dns_servers: tuple[str, ...] = ()


class CheckpointedDisk(Struct, frozen=True):
    """What the disk `disk` held when `checkpoint` was made; the disk itself may be gone since."""

    checkpoint: str
    disk: str


class DiskSpec(Struct, frozen=True):
    """A disk: `STATE/disks/<id>.qcow2`, made from `image` (an id of the image library), from `origin`, or empty.

    A disk is never shrunk. `present=False` removes the file; it is the only thing that does.
    """

    id: str
    size_bytes: int
    image: str | None = None
    origin: CheckpointedDisk | None = None
    present: bool = True


class CheckpointSpec(Struct, frozen=True):
    """A checkpoint of the VM `vm`: what `disks` hold at one moment and, with `memory`, the running machine.

    `id` is opaque, hex, safe as a file name. Made once, from the VM as it is then; `made`: it was, and isn't
    again if it is lost. `present=False` removes it; what its disks hold stays as long as another disk is made of it.
    """

    id: str
    vm: str
    disks: tuple[str, ...]
    memory: bool
    present: bool = True
    made: bool = False


class DiskAttachment(Struct, frozen=True):
    """A disk of a VM. `lun` is None for the OS disk, which boots."""

    disk: str
    lun: int | None = None
    read_only: bool = False


class Provisioning(Struct, frozen=True):
    """What the guest is told at its first boot, in Azure's words (ovf-env.xml and instance metadata).

    `password_hash` is crypt(5) `$6$…`; `custom_data` is base64. Neither is ever logged.
    """

    hostname: str
    admin_username: str
    ssh_public_keys: tuple[str, ...] = ()
    password_hash: str | None = None
    disable_password_authentication: bool = True
    custom_data: str | None = None


class VmSpec(Struct, frozen=True):
    """A virtual machine that this host runs or keeps stopped. `id` is Azure's vmId (a lower-case UUID).

    `start_generation` rises with each order to start: a guest that shut itself down stays down until it rises.
    `restart_generation` rises with each order to restart (ACPI, then hard after `grace_seconds`).
    `hard_stop`: power off at once instead of by ACPI.
    `warm`: it may continue from a template at its first start, instead of booting.
    `fork_of`: a checkpoint from whose memory it continues at its first start, with an identity of its own.
    `restore_generation` rises with each order to put the VM back to `restore_from`, a checkpoint of this VM: it is
    ended at once, its disks get what they held then, and if it is to run it continues from the checkpoint's memory or,
    where that holds none, boots.
    `metadata`: the JSON document at 169.254.169.254/metadata/instance, or "" for none.
    """

    id: str
    name: str
    vcpus: int
    memory_bytes: int
    disks: tuple[DiskAttachment, ...]
    ports: tuple[str, ...]
    macs: tuple[str, ...]
    power: Literal["running", "stopped"] = "running"
    firmware: Literal["bios", "uefi"] = "uefi"
    start_generation: int = 1
    restart_generation: int = 0
    hard_stop: bool = False
    grace_seconds: int = 60
    provisioning: Provisioning | None = None
    metadata: str = ""
    warm: bool = True
    fork_of: str | None = None
    restore_from: str | None = None
    restore_generation: int = 0


class TemplateSpec(Struct, frozen=True):
    """An order to have a template for VMs of `image` and this size now. `order` rises with each; each is tried once.

    `disk_bytes`: the smallest OS disk of a VM that is to continue from it.
    """

    id: str
    image: str
    vcpus: int
    memory_bytes: int
    firmware: Literal["bios", "uefi"]
    disk_bytes: int
    order: int


def template_id(image: str, vcpus: int, memory_bytes: int, firmware: str) -> str:
    """The id of the template for an image and a size."""
    return f"{image}-{vcpus}x{memory_bytes >> 20}-{firmware}"


def mac_for(vm: str, attempt: int = 0) -> str:
    """The MAC address of a VM's NIC that has none yet, as `00:0d:3a:01:02:03`; another one for each attempt.

    Microsoft's prefix and a digest of the vmId, so that a machine can be started before it is known who gets it.
    """
    digits = hashlib.sha256(f"{vm}/{attempt}".encode()).hexdigest()[:6]
    return f"00:0d:3a:{digits[:2]}:{digits[2:4]}:{digits[4:]}"


class HostSpec(Struct, frozen=True):
    """Everything one host should have. An agent refuses a revision older than the one it has applied."""

    revision: int
    vms: tuple[VmSpec, ...] = ()
    vnets: tuple[VnetSpec, ...] = ()
    disks: tuple[DiskSpec, ...] = ()
    checkpoints: tuple[CheckpointSpec, ...] = ()
    templates: tuple[TemplateSpec, ...] = ()
