"""The disk's layout, from a small file system instead of a whole guest."""

import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from skerry.host.storage.headers import inspect
from skerry.imagebuilder import disk

SIZE = 256 << 20


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("work")
    work.chmod(0o777)
    for folder in ("etc", "var"):
        (work / "tree" / folder).mkdir(parents=True)
    (work / "tree/etc/hostname").write_text("localhost\n")
    tar = work / "root.tar"
    with tarfile.open(tar, "w") as archive:
        archive.add(work / "tree", arcname=".")
    return disk.assemble(disk.format_root(tar, work, SIZE), work, SIZE)


def sector(raw: Path, number: int, count: int = 1) -> bytes:
    with raw.open("rb") as file:
        file.seek(number * 512)
        return file.read(count * 512)


def test_the_partition_table_is_whole(raw: Path) -> None:
    answer = subprocess.run(["sgdisk", "--verify", "--print", raw], check=True, capture_output=True, text=True).stdout
    assert "No problems found" in answer
    rows = [line.split() for line in answer.splitlines() if line.strip()[:1].isdigit() and len(line.split()) == 7]
    assert [(row[1], row[5], row[6]) for row in rows] == [
        ("34", "EF02", "bios"),
        ("4096", "EF00", "efi"),
        ("69632", "8304", "root"),
    ]
    assert inspect(raw).virtual_size == SIZE


def test_bios_finds_the_core_image(raw: Path) -> None:
    boot, core = sector(raw, 0), sector(raw, 34)
    assert struct.unpack_from("<Q", boot, 0x5C) == (34,)
    assert boot[0x66:0x68] == b"\x90\x90"
    assert boot[510:] == b"\x55\xaa"
    assert struct.unpack_from("<Q", core, 0x1F4) == (35,)


def test_uefi_finds_its_loader(raw: Path) -> None:
    listing = subprocess.run(
        ["mdir", "-b", "-i", f"{raw}@@{4096 * 512}", "::/EFI/BOOT"], check=True, capture_output=True
    )
    assert b"BOOTX64.EFI" in listing.stdout


def test_the_root_file_system_is_sound_and_holds_the_files(raw: Path, tmp_path: Path) -> None:
    root = tmp_path / "root.ext4"
    with raw.open("rb") as source, root.open("wb") as target:
        source.seek(69632 * 512)
        target.write(source.read())
    subprocess.run(["e2fsck", "-fn", root], check=True, capture_output=True)
    shown = subprocess.run(["debugfs", "-R", "cat /etc/hostname", root], check=True, capture_output=True).stdout
    assert shown == b"localhost\n"
    header = subprocess.run(["dumpe2fs", "-h", root], check=True, capture_output=True, text=True).stdout
    assert "Filesystem volume name:   rootfs" in header
    assert "metadata_csum_seed" not in header


def test_the_compressed_disk_is_the_same_disk(raw: Path, tmp_path: Path) -> None:
    disk.compress(raw, tmp_path / "disk.qcow2")
    subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, tmp_path / "disk.qcow2"], check=True)
    assert inspect(tmp_path / "disk.qcow2").virtual_size == SIZE


def test_a_core_image_that_is_too_large_is_turned_down(raw: Path) -> None:
    with pytest.raises(ValueError, match="larger than the BIOS boot partition"):
        disk._install_bios_loader(raw, bytes(2 << 20))
