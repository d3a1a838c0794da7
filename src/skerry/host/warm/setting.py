"""What a template depends on beside its image and size: a template made with anything else is never used."""

import hashlib
import json
from pathlib import Path

from skerry import __version__
from skerry.host.compute.qemu import argv
from skerry.host.compute.qemu.argv import Descriptors, Disk, Layer, Memory
from skerry.host.compute.qemu.machine_types import full_version
from skerry.host.warm.identity import prepare
from skerry.hostspec import DiskAttachment, VmSpec


def setting(accelerator: str, machine: str, binary: str) -> str:
    """QEMU's whole version, the accelerator, machine type and processor, Skerry's version, and a digest of the rest.

    That is the devices and the scripts in the guest.
    """
    processor = host_processor() if accelerator == "kvm" else argv.TCG_CPU
    ours = f"skerry {__version__} {_digest(machine, accelerator)}"
    return "; ".join((full_version(binary), accelerator, machine, processor, ours))


def host_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The host's CPU model and a digest of its features, which guests see under KVM."""
    fields: dict[str, str] = {}
    for line in cpuinfo.read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    features = " ".join(sorted(fields.get("flags", "").split()))
    return f"{fields.get('model name', '')} {hashlib.sha256(features.encode()).hexdigest()[:12]}"


def _digest(machine: str, accelerator: str) -> str:
    vm = VmSpec("vm", "vm", 1, argv.MIB, (DiskAttachment("disk"),), ("port",), ("02:00:00:00:00:01",), firmware="uefi")
    disk = Disk("disk", (Layer(5, "qcow2"), Layer(6, "qcow2")))
    fds = Descriptors(1, 2, 3, 4, (disk,), taps=(7,), cd=8, firmware=(9, 10), memory=Memory(11, shared=False))
    words = argv.command_line("qemu", machine, accelerator, vm, fds)
    return hashlib.sha256(json.dumps(words).encode() + prepare()).hexdigest()[:12]
