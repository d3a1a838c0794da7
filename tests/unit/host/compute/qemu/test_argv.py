"""The whole command line, word by word: a change of a guest's hardware must show here."""

import dataclasses
import json

import pytest
from msgspec.structs import replace

from skerry.host.compute.qemu.argv import Descriptors, Disk, Layer, Memory, command_line, inherited
from skerry.hostspec import DiskAttachment, VmSpec

VM = VmSpec(
    id="7a1d1c9e-0000-4000-8000-000000000001",
    name="web; rm -rf /",
    vcpus=2,
    memory_bytes=1536 << 20,
    disks=(DiskAttachment("d1"),),
    ports=("p1",),
    macs=("00:0d:3a:00:00:01",),
)
OS_DISK = Disk("0123456789abcdef0123456789abcdef", (Layer(20, "qcow2"), Layer(21, "qcow2")))
FDS = Descriptors(qmp=10, serial=11, agent=12, serial_log=13, disks=(OS_DISK,), taps=(30,), cd=14, firmware=(15, 16))


def file_node(name: str, fd: int, *, read_only: bool = False) -> list[str]:
    node = {
        "driver": "file",
        "node-name": name,
        "filename": f"/dev/fdset/{fd}",
        "read-only": read_only,
        "auto-read-only": False,
        "discard": "unmap",
    }
    return ["-add-fd", f"set={fd},fd={fd}", "-blockdev", json.dumps(node)]


def format_node(name: str, driver: str, *, read_only: bool, **more: object) -> list[str]:
    node = {"driver": driver, "node-name": name, "file": f"{name}-file", "read-only": read_only, "discard": "unmap"}
    return ["-blockdev", json.dumps({**node, **more})]


def after(words: list[str], option: str) -> list[str]:
    return [words[place + 1] for place, word in enumerate(words) if word == option]


def test_the_whole_command_line() -> None:
    uuid, serial = VM.id, VM.id.replace("-", "")[:20]
    assert command_line("qemu-system-x86_64", "pc-q35-7.2", "tcg", VM, FDS) == [
        *["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"],
        *["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
        *["-name", f"skerry-{uuid}", "-uuid", uuid],
        *["-machine", "pc-q35-7.2,usb=off,vmport=off,dump-guest-core=off,pflash0=code,pflash1=variables"],
        *["-global", "ICH9-LPC.disable_s3=1", "-global", "ICH9-LPC.disable_s4=1"],
        *file_node("code", 15, read_only=True),
        *file_node("variables", 16),
        *["-accel", "tcg,thread=multi,tb-size=192"],
        *["-cpu", "qemu64,-svm,+ssse3,+sse4.1,+sse4.2,+popcnt,+lahf_lm"],
        *["-smp", "cpus=2,sockets=1,cores=2,threads=1", "-m", "1536M"],
        *["-smbios", f"type=1,manufacturer=Microsoft Corporation,product=Virtual Machine,uuid={uuid}"],
        *["-smbios", "type=3,manufacturer=Microsoft Corporation,asset=7783-7084-3265-9085-8269-3286-77"],
        *["-action", "reboot=reset,shutdown=pause,panic=pause", "-device", "pvpanic", "-rtc", "base=utc"],
        *["-chardev", "socket,id=qmp,fd=10,server=on,wait=off", "-mon", "chardev=qmp,mode=control"],
        *["-add-fd", "set=13,fd=13"],
        *["-chardev", "socket,id=serial,fd=11,server=on,wait=off,logfile=/dev/fdset/13,logappend=on"],
        *["-device", "isa-serial,chardev=serial"],
        *["-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,id=rng,bus=pcie.0,addr=0x1,rng=rng"],
        *["-device", "virtio-balloon-pci,id=balloon,bus=pcie.0,addr=0x5,free-page-reporting=on"],
        *["-device", f"vmgenid,id=generation,guid={uuid}"],
        *["-device", "virtio-serial-pci,id=agent,bus=pcie.0,addr=0x2"],
        *["-chardev", "socket,id=agent,fd=12,server=on,wait=off"],
        *["-device", "virtserialport,id=agent-port,chardev=agent,name=org.qemu.guest_agent.0"],
        *["-device", "virtio-scsi-pci,id=scsi,bus=pcie.0,addr=0x3"],
        *file_node("cd", 14, read_only=True),
        *["-device", "scsi-cd,id=cd,bus=scsi.0,channel=0,scsi-id=0,lun=0,drive=cd"],
        *file_node("os-1-file", 21, read_only=True),
        *format_node("os-1", "qcow2", read_only=True, backing=None),
        *file_node("os-file", 20),
        *format_node("os", "qcow2", read_only=False, backing="os-1"),
        *["-device", f"virtio-blk-pci,id=os,bus=pcie.0,addr=0x4,drive=os,serial={serial},bootindex=0"],
        *["-netdev", "tap,id=net0,fd=30"],
        *["-device", "virtio-net-pci,id=nic0,netdev=net0,mac=00:0d:3a:00:00:01,bus=pcie.0,addr=0x8,romfile="],
    ]


@pytest.mark.parametrize(("mib", "cache"), [(512, 64), (1024, 128), (2048, 256), (65536, 256)])
def test_a_small_guest_gets_a_small_code_cache(mib: int, cache: int) -> None:
    words = command_line("qemu", "pc-q35-7.2", "tcg", replace(VM, memory_bytes=mib << 20), FDS)
    assert after(words, "-accel") == [f"tcg,thread=multi,tb-size={cache}"]


def test_kvm_gives_the_guest_the_hosts_cpu() -> None:
    words = command_line("qemu", "pc-q35-7.2", "kvm", VM, FDS)
    assert (after(words, "-accel"), after(words, "-cpu")) == (["kvm"], ["host"])


@pytest.mark.parametrize(
    ("memory", "number"),
    [(None, VM.id), (Memory(17, shared=True), VM.id), (Memory(17, shared=False), "auto")],
    ids=["cold", "template", "clone"],
)
def test_only_a_machine_that_continues_from_kept_memory_gets_another_generation(
    memory: Memory | None, number: str
) -> None:
    words = command_line("q", "m", "tcg", VM, dataclasses.replace(FDS, memory=memory))
    assert f"vmgenid,id=generation,guid={number}" in after(words, "-device")


def test_a_first_boot_s_script_is_a_credential_and_never_in_the_arguments() -> None:
    words = command_line("q", "m", "tcg", VM, Descriptors(10, 11, 12, 13, provision=17))
    assert after(words, "-fw_cfg") == ["name=opt/io.systemd.credentials/skerry.provision,file=/proc/self/fd/17"]


def test_bios_needs_no_flash_and_a_provisioned_guest_has_an_empty_drive() -> None:
    fds = Descriptors(qmp=10, serial=11, agent=12, serial_log=13)
    words = command_line("qemu", "pc-q35-7.2", "tcg", replace(VM, macs=()), fds)
    assert after(words, "-machine") == ["pc-q35-7.2,usb=off,vmport=off,dump-guest-core=off"]
    assert after(words, "-blockdev") == []
    assert "scsi-cd,id=cd,bus=scsi.0,channel=0,scsi-id=0,lun=0" in words


def test_a_data_disk_keeps_its_lun_and_may_be_read_only() -> None:
    fds = Descriptors(10, 11, 12, 13, disks=(Disk("data", (Layer(40, "raw"),), lun=7, read_only=True),))
    words = command_line("qemu", "pc-q35-7.2", "tcg", replace(VM, macs=()), fds)
    nodes = [json.loads(node) for node in after(words, "-blockdev")]
    assert [(node["driver"], node["read-only"]) for node in nodes] == [("file", True), ("raw", True)]
    assert "scsi-hd,id=lun7,bus=scsi.0,channel=0,scsi-id=1,lun=7,drive=lun7,serial=data" in words


def test_nothing_that_a_tenant_named_is_in_it() -> None:
    assert not any("rm -rf" in word for word in command_line("qemu", "pc-q35-7.2", "tcg", VM, FDS))


@pytest.mark.parametrize(
    ("fds", "numbers"),
    [
        (FDS, {10, 11, 12, 13, 20, 21, 30, 14, 15, 16}),
        (Descriptors(10, 11, 12, 13, provision=17), {10, 11, 12, 13, 17}),
        (Descriptors(10, 11, 12, 13), {10, 11, 12, 13}),
    ],
)
def test_every_descriptor_is_inherited(fds: Descriptors, numbers: set[int]) -> None:
    assert set(inherited(fds)) == numbers
