"""From a root file system in a tar to a disk that boots under BIOS and UEFI; no loop device, no mount.

    sector 0       boot.img, and a protective MBR      34     core.img, in the BIOS boot partition
    sector 4096    the EFI system partition (FAT16)    69632  root, ext4, to the end of the disk

The offsets patched below are GRUB's own (include/grub/i386/pc/boot.h: the sector number of the core at 0x5c and
the jump at 0x66; the first block list of core.img ends its first sector: its start sector at 0x1f4).
"""

import struct
from pathlib import Path

from skerry.host.errors import MissingFeature
from skerry.host.run import run
from skerry.imagebuilder.rootfs import inside

SECTOR = 512
CORE_SECTOR, CORE_END = 34, 2047
ESP_SECTOR, ESP_SECTORS = 4096, 65536
ROOT_SECTOR = ESP_SECTOR + ESP_SECTORS
BACKUP_TABLE_SECTORS = 34
GRUB = Path("/usr/lib/grub")

# GRUB finds the root partition by its label, whatever the disk is called, and goes on with the guest's own file.
EARLY_CONFIG = """search --no-floppy --label rootfs --set=root
set prefix=($root)/boot/grub
configfile ($root)/boot/grub/grub.cfg
"""
_MODULES = ("part_gpt", "ext2", "linux", "normal", "search", "search_label", "configfile", "echo", "test", "minicmd")
_PLATFORMS = {"i386-pc": ("biosdisk",), "x86_64-efi": ("fat", "efi_gop", "all_video")}

# $1 tar, $2 ext4 file, $3 its size in KiB. The guest's kernel makes its own /dev; a user namespace may not make nodes.
# The marks keep systemd from redoing at first boot what dpkg has done.
_FORMAT = """
tree=$(mktemp -d "${2%/*}/tree.XXXXXX")
trap 'rm -rf "$tree"' EXIT
tar -C "$tree" --xattrs --xattrs-include='*' --numeric-owner --exclude='./dev/*' -xpf "$1"
touch "$tree/etc/.updated" "$tree/var/.updated"
mke2fs -q -t ext4 -L rootfs -m 1 -O ^metadata_csum_seed,^orphan_file -d "$tree" "$2" "$3k"
chmod 644 "$2"
"""


def format_root(tar: Path, shared: Path, size_bytes: int) -> Path:
    """An ext4 file system for a disk of `size_bytes` that holds what `tar` holds, owners and xattrs included.

    `shared` must be writable by whoever `inside` runs as.
    """
    target = shared / "root.ext4"
    sectors = size_bytes // SECTOR - ROOT_SECTOR - BACKUP_TABLE_SECTORS
    kib = sectors // 8 * 4
    run(inside(_FORMAT, str(tar), str(target), str(kib)), timeout=900)
    return target


def assemble(root: Path, work: Path, size_bytes: int) -> Path:
    """Put boot loaders, EFI partition and `root` together into a sparse raw disk; returns its path."""
    disk = work / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(size_bytes)
    _partition(disk)
    _copy_in(root, disk, ROOT_SECTOR)
    _copy_in(_efi_partition(work), disk, ESP_SECTOR)
    _install_bios_loader(disk, _grub_image("i386-pc", work).read_bytes())
    return disk


def compress(disk: Path, target: Path) -> None:
    """Write `disk` (raw) as a zstd-compressed qcow2: a third of the size, and it boots no slower."""
    options = "compression_type=zstd,lazy_refcounts=off"
    run(
        ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-m", "4", "-o", options, str(disk), str(target)],
        timeout=900,
    )


def _partition(disk: Path) -> None:
    """Types: BIOS boot, EFI system, root of x86-64 (systemd-repart grows the root by its type)."""
    run(
        [
            *("sgdisk", "--set-alignment=1"),
            *(f"--new=1:{CORE_SECTOR}:{CORE_END}", "--typecode=1:ef02", "--change-name=1:bios"),
            *(f"--new=2:{ESP_SECTOR}:{ROOT_SECTOR - 1}", "--typecode=2:ef00", "--change-name=2:efi"),
            *(f"--new=3:{ROOT_SECTOR}:0", "--typecode=3:8304", "--change-name=3:root"),
            str(disk),
        ]
    )


def _copy_in(source: Path, disk: Path, sector: int) -> None:
    run(
        [
            *("dd", f"if={source}", f"of={disk}", "bs=1M", f"seek={sector * SECTOR}", "oflag=seek_bytes"),
            *("conv=notrunc,sparse", "status=none"),
        ],
        timeout=600,
    )


def _grub_image(platform: str, work: Path) -> Path:
    if not (GRUB / platform).is_dir():
        package = "grub-pc-bin" if platform == "i386-pc" else "grub-efi-amd64-bin"
        raise MissingFeature(f"{GRUB / platform} is not there: install {package}")
    config, target = work / "early.cfg", work / f"grub.{platform}"
    config.write_text(EARLY_CONFIG)
    modules = (*_MODULES, *_PLATFORMS[platform])
    run(
        [
            "grub-mkimage",
            f"--format={platform}",
            "--prefix=/boot/grub",
            f"--config={config}",
            f"--output={target}",
            *modules,
        ]
    )
    return target


def _efi_partition(work: Path) -> Path:
    """FAT16: 32 MiB hold too few clusters for FAT32, which OVMF then doesn't read."""
    image, loader = work / "esp.fat", _grub_image("x86_64-efi", work)
    with image.open("wb") as file:
        file.truncate(ESP_SECTORS * SECTOR)
    run(["mkfs.vfat", "-F", "16", "-n", "EFI", str(image)])
    run(["mmd", "-i", str(image), "::/EFI", "::/EFI/BOOT"])
    run(["mcopy", "-i", str(image), str(loader), "::/EFI/BOOT/BOOTX64.EFI"])
    return image


def _install_bios_loader(disk: Path, core: bytes) -> None:
    """What grub-install does for GPT, without a block device."""
    if len(core) > (CORE_END - CORE_SECTOR + 1) * SECTOR:
        raise ValueError(f"GRUB's core image of {len(core)} bytes is larger than the BIOS boot partition")
    boot, loader = boot_sector((GRUB / "i386-pc/boot.img").read_bytes()), core_image(core)
    with disk.open("r+b") as file:
        file.write(boot)
        file.seek(CORE_SECTOR * SECTOR)
        file.write(loader)


def boot_sector(boot_img: bytes) -> bytes:
    """The 440 bytes of code before the partition table, pointed at the core image."""
    code = bytearray(boot_img[:440])
    struct.pack_into("<Q", code, 0x5C, CORE_SECTOR)
    code[0x66:0x68] = b"\x90\x90"
    return bytes(code)


def core_image(core: bytes) -> bytes:
    """The core image, told where its own second sector lies."""
    code = bytearray(core)
    struct.pack_into("<Q", code, 0x1F4, CORE_SECTOR + 1)
    return bytes(code)
