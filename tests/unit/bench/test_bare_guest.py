"""The guest started by hand has Skerry's own devices; only what carries descriptors and Azure's mark changes."""

import json
from io import BytesIO
from pathlib import Path

from bench.bare_guest import argv, seed
from pycdlib.pycdlib import PyCdlib

from skerry.host.compute.qemu.argv import Descriptors, Disk, Layer, command_line
from skerry.hostspec import DiskAttachment, VmSpec

FOLDER = Path("/work-folder")
FILES = {
    "code": Path("/fw/code.fd"),
    "variables": Path("/fw/variables.fd"),
    "cd": Path("/f/seed.iso"),
    "os-file": Path("/f/disk.qcow2"),
    "os-1-file": Path("/images/disk.qcow2"),
}


def skerrys() -> list[str]:
    """What Skerry runs for a UEFI guest with a CD, one NIC and an image below its disk."""
    vm = VmSpec(
        id="5b0e3a52-0000-4000-8000-000000000001",
        name="web",
        vcpus=2,
        memory_bytes=1 << 30,
        disks=(DiskAttachment("d1"),),
        ports=("p",),
        macs=("00:0d:3a:00:00:01",),
        firmware="uefi",
    )
    disk = Disk("d1", (Layer(14, "qcow2"), Layer(15, "qcow2")))
    fds = Descriptors(10, 11, 12, 13, disks=(disk,), taps=(16,), cd=17, firmware=(18, 19), provision=20)
    return ["nsenter", "--net=/run/x", "setpriv", "--", *command_line("qemu-system-x86_64", "q35", "tcg", vm, fds)]


def made() -> list[str]:
    return argv(skerrys(), FOLDER, FILES, 2222)


def test_nothing_is_inherited() -> None:
    text = " ".join(made())
    assert "fdset" not in text
    assert "fd=" not in text
    assert made()[0] == "qemu-system-x86_64"


def test_every_file_is_opened_by_name() -> None:
    words = made()
    nodes = [json.loads(words[index + 1]) for index, word in enumerate(words) if word == "-blockdev"]
    opened = {node["node-name"]: node["filename"] for node in nodes if node["driver"] == "file"}
    assert opened == {name: str(path) for name, path in FILES.items()}


def test_the_network_is_the_users_and_forwards_ssh() -> None:
    assert "user,id=net0,hostfwd=tcp:127.0.0.1:2222-:22" in made()


def test_the_guest_sees_the_same_machine() -> None:
    same = [word for word in skerrys() if word.startswith(("virtio-", "scsi-", "virtserial", "q35", "cpus=", "tcg,"))]
    assert len(same) > 8
    assert [word for word in made() if word in same] == same


def test_azures_mark_goes() -> None:
    kept = [word for word in made() if word.startswith("type=")]
    assert [word.partition(",")[0] for word in kept] == ["type=1"]


def test_the_seed_is_what_nocloud_looks_for() -> None:
    iso = PyCdlib()
    iso.open_fp(BytesIO(seed("me", "ssh-ed25519 AAAA")))
    assert iso.pvd.volume_identifier.strip() == b"cidata"
    text = BytesIO()
    iso.get_file_from_iso_fp(text, rr_path="/user-data")
    first, _, rest = text.getvalue().decode().partition("\n")
    assert first == "#cloud-config"
    assert json.loads(rest)["users"][0]["ssh_authorized_keys"] == ["ssh-ed25519 AAAA"]
    iso.close()
