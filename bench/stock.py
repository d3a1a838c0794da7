"""Debian's own cloud image started with QEMU's own defaults: what somebody gets who follows no advice.

Official images can't be had everywhere, so this one is built from Debian's packages as Debian builds its `generic`
image: the ordinary kernel with an initramfs for all hardware, cloud-init as it is packaged, no boot menu. Its boot
loader, disk layout and compression are those of `skerry image build`.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from bench.bare_guest import BINARY, seed
from bench.processes import run
from skerry.imagebuilder import cache, default_cache, disk
from skerry.imagebuilder.rootfs import KEYRING

SIZE = 4 << 30
DISK_BYTES = 30 << 30
BUILD_SECONDS = 1200
# After debian-cloud-images, config_space/bookworm/package_config.
PACKAGES = (
    "apt-listchanges,bash-completion,bind9-host,ca-certificates,cloud-guest-utils,cloud-init,cloud-initramfs-growroot,curl,"
    "dbus,ethtool,gdisk,initramfs-tools,isc-dhcp-client,less,libpam-systemd,linux-image-amd64,locales-all,lsof,man-db,"
    "manpages,netplan.io,openssh-server,pciutils,procps,python3,socat,sudo,systemd-resolved,systemd-sysv,"
    "systemd-timesyncd,traceroute,udev,unattended-upgrades,uuid-runtime,vim,wget,zstd"
)
_GRUB = """set timeout=0
menuentry "Debian" {
    linux /vmlinuz root=LABEL=rootfs ro console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0
    initrd /initrd.img
}
"""
# ifupdown is of priority important, but Debian's image is without it: cloud-init would set the network up by it, and
# systemd-networkd, which nobody told anything, keep the boot waiting for two minutes.
_CUSTOMIZE = f"""set -eu
mkdir -p "$1"/boot/grub
printf '%s' '{_GRUB}' >"$1"/boot/grub/grub.cfg
echo 'LABEL=rootfs / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1' >"$1"/etc/fstab
chroot "$1" dpkg --purge ifupdown >/dev/null
chroot "$1" systemctl --quiet enable systemd-networkd.service systemd-resolved.service
rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/resolv.conf
ln -s ../run/systemd/resolve/stub-resolv.conf "$1"/etc/resolv.conf
echo localhost >"$1"/etc/hostname
"""


def image() -> Path:
    """The image's file, built once and kept beside those of `skerry image build`."""
    name = hashlib.sha256(f"{PACKAGES}{_CUSTOMIZE}{SIZE}".encode()).hexdigest()[:12]
    folder = default_cache() / "bench"
    with cache.locked(folder, "stock"):
        built = folder / f"stock-{name}.qcow2"
        if not built.exists():
            _build(built)
    return built


def _build(target: Path) -> None:
    with cache.workspace() as work:
        tar, part = work / "root.tar", target.with_suffix(".part")
        run(
            _mmdebstrap(tar),
            environment={"TMPDIR": str(work), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            timeout=BUILD_SECONDS,
        )
        disk.compress(disk.assemble(disk.format_root(tar, work, SIZE), work, SIZE), part)
        part.rename(target)


def _mmdebstrap(target: Path) -> list[str | Path]:
    options = [
        "--mode=root",
        "--variant=important",
        "--components=main",
        f"--keyring={KEYRING}",
        f"--include={PACKAGES}",
    ]
    return ["mmdebstrap", *options, f"--customize-hook={_CUSTOMIZE}", "bookworm", target]


def prepare(folder: Path, key: str, user: str, port: int, memory: int) -> Sequence[str]:
    """A fresh disk and a seed in `folder`, and the command line of somebody in no hurry; `memory` in bytes.

    The default machine (pc), processor, one vCPU, SeaBIOS, IDE disk and e1000 NIC with its option ROM.
    """
    own, cd = folder / "disk.qcow2", folder / "seed.iso"
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image(), own, str(DISK_BYTES)], timeout=60)
    cd.write_bytes(seed(user, key))
    network = f"user,hostfwd=tcp:127.0.0.1:{port}-:22"
    files = ["-drive", f"file={own},format=qcow2", "-cdrom", str(cd)]
    return [BINARY, "-accel", "tcg", "-m", f"{memory >> 20}M", "-display", "none", *files, "-nic", network]
