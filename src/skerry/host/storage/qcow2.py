"""Disks as qcow2 files, each an overlay of the image it was made from.

STATE/disks/ID.qcow2      finished; its backing file is ../images/IMAGE/disk.qcow2, so a state folder can be moved
                          or ../templates/TEMPLATE/disk.qcow2, itself an overlay of an image, of a VM that started warm
STATE/disks/ID.made       empty: the disk was finished once. Should its file be gone later, nothing is made in its place
STATE/disks/.ID.qcow2.*   being made, or left by a kill and swept at the next start
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from skerry.host.compute.driver import DiskFile
from skerry.host.errors import HostError, Refused
from skerry.host.files import sync
from skerry.host.storage import names, qemu_img, rules
from skerry.host.storage.files import appearing
from skerry.host.storage.headers import holds_data, read_qcow2
from skerry.host.storage.library import Library
from skerry.hostspec import DiskObserved, DiskSpec, ImageObserved


class Qcow2Storage:
    """The storage driver for one state folder. One process at a time makes disks in it."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "disks"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.library = Library(state)
        for left in self.folder.glob(".*.qcow2.*"):
            left.unlink(missing_ok=True)
        for path in self.folder.glob("[!.]*.qcow2"):
            _mark(path).touch(0o600)

    def ensure(self, disk: DiskSpec) -> DiskObserved:
        path = self._path(disk.id)
        if not disk.present:
            return self._remove(disk.id, path)
        if path.exists():
            return self._grow(disk, path)
        if _mark(path).exists():
            raise Refused(f"{_lost(path)} Skerry makes no empty disk in its place.")
        return self._create(disk, path)

    def disks(self) -> Sequence[DiskObserved]:
        return [_observe(path) for path in sorted(self.folder.glob("[!.]*.qcow2"))]

    def file(self, disk: str) -> DiskFile:
        path = self._path(disk)
        if not path.exists():
            raise HostError(_lost(path) if _mark(path).exists() else f"disk {disk} is not on this host")
        header = read_qcow2(path)
        disk_file = DiskFile(path=str(path.absolute()), format="qcow2")
        if header.backing is None:
            return disk_file
        below = self._backing(path, header.backing)
        return replace(disk_file, backing=tuple((str(layer), "qcow2") for layer in below))

    def rebase(self, disk: str, base: Path | None) -> None:
        """Put a new disk on a template's disk instead of its image, or back (None), at the same size.

        Only for a disk of a VM that was never its user's: what was written to it is lost.
        """
        path = self._path(disk)
        header = read_qcow2(path)
        if header.backing is None:
            raise HostError(f"disk {disk} was made empty: there is nothing below it to change")
        image = self._backing(path, header.backing)[-1].parent.name
        wanted = f"../templates/{base.parent.name}/{base.name}" if base else f"../images/{image}/disk.qcow2"
        if header.backing == wanted and not holds_data(path):
            return
        with appearing(path) as temporary:
            qemu_img.create(temporary, header.virtual_size, wanted)
            temporary.chmod(0o600)

    def holds_data(self, disk: str) -> bool:
        """Whether a disk was ever written to."""
        return holds_data(self._path(disk))

    def images(self) -> Sequence[ImageObserved]:
        return self.library.list()

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free

    def _path(self, disk: str) -> Path:
        return self.folder / f"{names.disk_id(disk)}.qcow2"

    def _remove(self, disk: str, path: Path) -> DiskObserved:
        # The mark first: a kill between the two leaves a disk, which is seen and removed again.
        _mark(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        sync(self.folder)
        return DiskObserved(id=disk, ready=False)

    def _grow(self, disk: DiskSpec, path: Path) -> DiskObserved:
        size = read_qcow2(path).virtual_size
        rules.check_present(disk, size)
        if disk.size_bytes > size:
            qemu_img.resize(path, disk.size_bytes)
            sync(path)
        return _observe(path)

    def _create(self, disk: DiskSpec, path: Path) -> DiskObserved:
        image_bytes = backing = None
        if disk.image is not None:
            image_bytes = read_qcow2(self.library.path(disk.image)).virtual_size
            backing = f"../images/{disk.image}/disk.qcow2"
        rules.check_new(disk, image_bytes)
        with appearing(path) as temporary:
            qemu_img.create(temporary, disk.size_bytes, backing)
            temporary.chmod(0o600)
        _mark(path).touch(0o600)
        return _observe(path)

    def _backing(self, path: Path, name: str) -> list[Path]:
        """The files below a disk, nearest first. A header that names any other file isn't ours and is refused."""
        folder = Path(name).parent.name
        if name == f"../images/{folder}/disk.qcow2":
            return [self.library.path(folder)]
        below, template = None, self.folder.parent / "templates" / folder / "disk.qcow2"
        if name == f"../templates/{folder}/disk.qcow2":
            names.template_id(folder)
            below = read_qcow2(template).backing
        image = Path(below or "").parent.name
        if below != f"../../images/{image}/disk.qcow2":
            raise HostError(f"{path} names {name!r} as its backing file, which is no image of the library")
        return [template.absolute(), self.library.path(image)]


def _mark(path: Path) -> Path:
    return path.with_suffix(".made")


def _lost(path: Path) -> str:
    return f"the disk's file {path} is gone. Bring it back from a copy, or delete the VM and its disk."


def _observe(path: Path) -> DiskObserved:
    try:
        return DiskObserved(id=path.stem, ready=True, size_bytes=read_qcow2(path).virtual_size)
    except (HostError, OSError) as error:
        return DiskObserved(id=path.stem, ready=False, message=str(error))
