"""QEMU's command line: pure functions, one per device.

QEMU opens no file of ours by name. Each is an inherited descriptor in an fd set (`/dev/fdset/N`), every image format
and every backing file is named, so that nothing in an image's header makes QEMU open anything.

Places on the PCI bus are fixed: a device that comes or goes must not rename another in the guest.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from skerry.hostspec import VmSpec

MIB = 1 << 20

# The tag by which cloud-init and the Azure Linux agent know Azure (cloud-init: tools/ds-identify).
AZURE_CHASSIS_TAG = "7783-7084-3265-9085-8269-3286-77"

# qemu64 is x86-64-v1; these make it the x86-64-v2 that distributions of 2022 and later are built for. Without svm,
# which it has and emulation can't use well, guests don't load their own KVM at boot.
TCG_CPU = "qemu64,-svm,+ssse3,+sse4.1,+sse4.2,+popcnt,+lahf_lm"

# Of code cache, in MiB. While the standard image boots, QEMU throws the whole cache away 29 times with 64, 8 times with
# 128 and 3 times with 256 (`info jit`), and translates anew each time. With 64 a guest of 512 MiB takes 279 MiB of the
# host instead of 517 when it has booted, and boots 9 % slower.
TCG_CACHE_MIB = (64, 256)
TCG_CACHE_SHARE = 8

# Under QEMU 7.2 `obsolete=deny` is part of `on`; `resourcecontrol` also stops it from raising its own priority.
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

SLOT = {"rng": 1, "agent": 2, "scsi": 3, "os": 4, "balloon": 5, "nic": 8}
MOST_NICS = 8

# A credential for systemd (systemd.system-credentials(7)); skerry-provision.service of our images runs it.
PROVISION = "opt/io.systemd.credentials/skerry.provision"


@dataclass(frozen=True)
class Layer:
    """One file of a disk, as an inherited descriptor."""

    fd: int
    format: Literal["qcow2", "raw"]


@dataclass(frozen=True)
class Disk:
    """A disk's files, the writable one first. `lun` None is the OS disk."""

    id: str
    layers: tuple[Layer, ...]
    lun: int | None = None
    read_only: bool = False


@dataclass(frozen=True)
class Memory:
    """A guest's memory in a file: `shared` by a template in the making, which writes to it; else private to a clone.

    `receives`: a shared one that takes a running guest's memory over, for a checkpoint.
    `reporting`: the guest was booted by a QEMU that asks it for its free pages. It must find that again.
    """

    fd: int
    shared: bool
    receives: bool = False
    reporting: bool = False

    @property
    def waits(self) -> bool:
        """Whether QEMU is to wait, paused, for a state."""
        return self.receives or not self.shared


@dataclass(frozen=True)
class Descriptors:
    """Everything a QEMU inherits. `qmp`, `serial`, `agent` listen; `firmware` is (code, variables) for UEFI.

    `provision`: the script for a first boot, in a memfd.
    """

    qmp: int
    serial: int
    agent: int
    serial_log: int
    disks: tuple[Disk, ...] = ()
    taps: tuple[int, ...] = ()
    cd: int | None = None
    provision: int | None = None
    firmware: tuple[int, int] | None = None
    memory: Memory | None = None


def command_line(binary: str, machine: str, accelerator: str, vm: VmSpec, fds: Descriptors) -> list[str]:
    """The whole argv for `vm` with the pinned machine type `machine`."""
    return [
        *[binary, "-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"],
        *["-sandbox", SANDBOX, "-name", f"skerry-{vm.id}", "-uuid", vm.id],
        *_machine(machine, fds.firmware, fds.memory),
        *_processor(accelerator, vm.vcpus, vm.memory_bytes // MIB),
        *_memory(vm.memory_bytes // MIB, fds.memory),
        *_identity(vm.id),
        *_provision(fds.provision),
        *_power(),
        *_monitor(fds.qmp),
        *_serial(fds.serial, fds.serial_log),
        *_small_devices(fds.memory),
        *_generation(vm.id, fds.memory),
        *_agent(fds.agent),
        *_scsi(fds.cd),
        *[word for disk in fds.disks for word in _disk(disk, vm.id)],
        *[word for index, fd in enumerate(fds.taps) for word in _nic(index, fd, vm.macs[index])],
    ]


def _machine(machine: str, firmware: tuple[int, int] | None, memory: Memory | None) -> list[str]:
    options = f"{machine},usb=off,vmport=off,dump-guest-core=off" + (",memory-backend=pc.ram" if memory else "")
    sleep = ["-global", "ICH9-LPC.disable_s3=1", "-global", "ICH9-LPC.disable_s4=1"]
    if firmware is None:
        return ["-machine", options, *sleep]
    code, variables = firmware
    return [
        *["-machine", f"{options},pflash0=code,pflash1=variables", *sleep],
        *_file("code", code, read_only=True),
        *_file("variables", variables),
    ]


def _processor(accelerator: str, vcpus: int, mib: int) -> list[str]:
    smp = ["-smp", f"cpus={vcpus},sockets=1,cores={vcpus},threads=1"]
    if accelerator == "kvm":
        return ["-accel", "kvm", "-cpu", "host", *smp]
    least, most = TCG_CACHE_MIB
    cache = min(max(mib // TCG_CACHE_SHARE, least), most)
    return ["-accel", f"tcg,thread=multi,tb-size={cache}", "-cpu", TCG_CPU, *smp]


def _memory(mib: int, memory: Memory | None) -> list[str]:
    """A clone waits, paused, for the state to be named; a template tells systemd what it is.

    The name is the one that QEMU gives to the memory of a guest without such a file; it is part of every state.
    """
    size = ["-m", f"{mib}M"]
    if memory is None:
        return size
    share = "on" if memory.shared else "off"
    file = ["-object", f"memory-backend-file,id=pc.ram,size={mib}M,mem-path=/proc/self/fd/{memory.fd},share={share}"]
    if not memory.waits:
        return [*size, *file, "-smbios", "type=11,value=io.systemd.credential:skerry.template=1"]
    return [*size, *file, "-S", "-incoming", "defer"]


def _identity(vm: str) -> list[str]:
    return [
        *["-smbios", f"type=1,manufacturer=Microsoft Corporation,product=Virtual Machine,uuid={vm}"],
        *["-smbios", f"type=3,manufacturer=Microsoft Corporation,asset={AZURE_CHASSIS_TAG}"],
    ]


def _provision(fd: int | None) -> list[str]:
    """QEMU reads the file at its start, as its own user, who may open a memfd anew."""
    return [] if fd is None else ["-fw_cfg", f"name={PROVISION},file=/proc/self/fd/{fd}"]


def _power() -> list[str]:
    """A guest that halts or panics leaves a paused QEMU, which tells even a later Skerry what happened."""
    return ["-action", "reboot=reset,shutdown=pause,panic=pause", "-device", "pvpanic", "-rtc", "base=utc"]


def _monitor(fd: int) -> list[str]:
    return ["-chardev", f"socket,id=qmp,fd={fd},server=on,wait=off", "-mon", "chardev=qmp,mode=control"]


def _serial(fd: int, log: int) -> list[str]:
    """COM1 on a socket for a console; all output also goes to the log, whether anyone is connected or not."""
    return [
        *_fdset(log),
        *["-chardev", f"socket,id=serial,fd={fd},server=on,wait=off,logfile=/dev/fdset/{log},logappend=on"],
        *["-device", "isa-serial,chardev=serial"],
    ]


def _small_devices(memory: Memory | None) -> list[str]:
    """Pages that the guest gives back would be cut out of the file that others share, so then it isn't asked to."""
    reporting = "on" if memory is None or memory.reporting else "off"
    return [
        *["-object", "rng-builtin,id=rng", "-device", _pci("virtio-rng-pci", "rng", rng="rng")],
        *["-device", _pci("virtio-balloon-pci", "balloon", free_page_reporting=reporting)],
    ]


def _generation(vm: str, memory: Memory | None) -> list[str]:
    """A number that is another one each time that the machine continues from kept memory, and only then.

    A kernel that looks for it mixes its random numbers anew at once. Source: QEMU, docs/specs/vmgenid.rst.
    """
    number = "auto" if memory is not None and memory.waits else vm
    return ["-device", f"vmgenid,id=generation,guid={number}"]


def _agent(fd: int) -> list[str]:
    return [
        *["-device", _pci("virtio-serial-pci", "agent")],
        *["-chardev", f"socket,id=agent,fd={fd},server=on,wait=off"],
        *["-device", "virtserialport,id=agent-port,chardev=agent,name=org.qemu.guest_agent.0"],
    ]


def _scsi(cd: int | None) -> list[str]:
    """The controller for data disks and the CD drive. Debian's cloud kernel has no AHCI; an IDE drive isn't seen."""
    controller = ["-device", _pci("virtio-scsi-pci", "scsi")]
    drive = "scsi-cd,id=cd,bus=scsi.0,channel=0,scsi-id=0,lun=0"
    if cd is None:
        return [*controller, "-device", drive]
    return [*controller, *_file("cd", cd, read_only=True), "-device", f"{drive},drive=cd"]


def _disk(disk: Disk, vm: str) -> list[str]:
    """The OS disk's serial is the VM's: a machine may stand by before it is known whose disk it has."""
    name = "os" if disk.lun is None else f"lun{disk.lun}"
    words: list[str] = []
    below = None
    for depth in reversed(range(len(disk.layers))):
        node = name if depth == 0 else f"{name}-{depth}"
        read_only = disk.read_only or depth > 0
        words += _layer(node, disk.layers[depth], below, read_only=read_only)
        below = node
    # The guest sees at most 20 bytes of a virtio-blk serial.
    serial = (vm.replace("-", "") if disk.lun is None else disk.id)[:20]
    if disk.lun is None:
        return [*words, "-device", _pci("virtio-blk-pci", "os", drive=name, serial=serial, bootindex="0")]
    place = f"bus=scsi.0,channel=0,scsi-id=1,lun={disk.lun}"
    return [*words, "-device", f"scsi-hd,id={name},{place},drive={name},serial={serial}"]


def _layer(node: str, layer: Layer, below: str | None, *, read_only: bool) -> list[str]:
    file = f"{node}-file"
    format_node: dict[str, object] = {
        "driver": layer.format,
        "node-name": node,
        "file": file,
        "read-only": read_only,
        "discard": "unmap",
    }
    if layer.format == "qcow2":
        format_node["backing"] = below
    return [*_file(file, layer.fd, read_only=read_only), "-blockdev", json.dumps(format_node)]


def _nic(index: int, fd: int, mac: str) -> list[str]:
    place = f"0x{SLOT['nic'] + index:x}"
    return [
        *["-netdev", f"tap,id=net{index},fd={fd}"],
        *["-device", f"virtio-net-pci,id=nic{index},netdev=net{index},mac={mac},bus=pcie.0,addr={place},romfile="],
    ]


def _pci(device: str, name: str, **options: str) -> str:
    extra = "".join(f",{key.replace('_', '-')}={value}" for key, value in options.items())
    return f"{device},id={name},bus=pcie.0,addr=0x{SLOT[name]:x}{extra}"


def _file(node: str, fd: int, *, read_only: bool = False) -> list[str]:
    options = {
        "driver": "file",
        "node-name": node,
        "filename": f"/dev/fdset/{fd}",
        "read-only": read_only,
        "auto-read-only": False,
        "discard": "unmap",
    }
    return [*_fdset(fd), "-blockdev", json.dumps(options)]


def _fdset(fd: int) -> list[str]:
    return ["-add-fd", f"set={fd},fd={fd}"]


def inherited(fds: Descriptors) -> Sequence[int]:
    """Every descriptor number in `fds`."""
    layers = [layer.fd for disk in fds.disks for layer in disk.layers]
    optional = [fd for fd in (fds.cd, fds.provision) if fd is not None] + [*(fds.firmware or ())]
    optional += [fds.memory.fd] if fds.memory else []
    return [fds.qmp, fds.serial, fds.agent, fds.serial_log, *layers, *fds.taps, *optional]
