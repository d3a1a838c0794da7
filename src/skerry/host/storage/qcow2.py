"""Disks as qcow2 files, each an overlay of the image it was made from.

STATE/disks/ID.qcow2      finished; its backing file is ../images/IMAGE/disk.qcow2, so a state folder can be moved
                          or ../templates/TEMPLATE/disk.qcow2, itself an overlay of an image, of a VM that started warm
                          or ../frozen/TOKEN.DISK.qcow2, what a disk held when a checkpoint was made (frozen.py)
STATE/disks/ID.made       the disk was finished once. Should its file be gone later, nothing is made in its place.
                          It holds the last order to restore it, or nothing
STATE/disks/.ID.qcow2.*   being made, or left by a kill and swept at the next start
"""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from skerry.host.compute.driver import DiskFile
from skerry.host.errors import HostError, Refused
from skerry.host.files import sync, write_atomically
from skerry.host.storage import chains, names, qemu_img, rules
from skerry.host.storage.files import appearing
from skerry.host.storage.frozen import Frozen
from skerry.host.storage.headers import holds_data, read_qcow2
from skerry.host.storage.library import Library
from skerry.hostspec import CheckpointedDisk, DiskObserved, DiskSpec, ImageObserved


class Qcow2Storage:
    """The storage driver for one state folder. One process at a time makes disks in it."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "disks"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.library = Library(state)
        self.frozen = Frozen(state)
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
        below = chains.layers(self.folder.parent, path)
        return replace(disk_file, backing=tuple((str(layer), "qcow2") for layer in below))

    def rebase(self, disk: str, base: Path | None) -> None:
        """Put a new disk on a template's disk instead of its image, or back (None), at the same size.

        Only for a disk of a VM that was never its user's: what was written to it is lost.
        """
        path = self._path(disk)
        header = read_qcow2(path)
        if header.backing is None:
            raise HostError(f"disk {disk} was made empty: there is nothing below it to change")
        image = chains.layers(self.folder.parent, path)[-1].parent.name
        wanted = f"../templates/{base.parent.name}/{base.name}" if base else f"../images/{image}/disk.qcow2"
        if header.backing == wanted and not holds_data(path):
            return
        with appearing(path) as temporary:
            qemu_img.create(temporary, header.virtual_size, wanted)
            temporary.chmod(0o600)

    def aside(self, name: str, base: Path, size_bytes: int) -> Path:
        """A new overlay of a template's disk that is no disk yet; the caller's to use or remove before Skerry ends."""
        path = self.folder / f".{name}.qcow2.standby"
        qemu_img.create(path, size_bytes, f"../templates/{base.parent.name}/{base.name}")
        path.chmod(0o600)
        return path

    def give(self, path: Path, disk: str) -> None:
        """Let a file from `aside` be the disk's, whose own file was never its user's."""
        sync(path)
        path.rename(self._path(disk))
        sync(self.folder)

    def put_back(self, disk: str, origin: CheckpointedDisk) -> None:
        """Let the disk hold what it held when a checkpoint was made; no smaller than it is. Repeatable."""
        path, below = self._path(disk), self.frozen.of(origin)
        size = read_qcow2(below).virtual_size
        self._overlay(path, below, max(size, read_qcow2(path).virtual_size) if path.exists() else size)
        self.frozen.sweep()

    def is_new(self, disk: str, origin: CheckpointedDisk) -> bool:
        """Whether the disk is made of `origin` and nobody has written to it."""
        path, below = self._path(disk), self.frozen.of(origin)
        return chains.backing(self.folder.parent, path) == below and not holds_data(path)

    def order(self, disk: str) -> str:
        """The last order to restore that was carried out on the disk, as `note_order` got it."""
        with suppress(FileNotFoundError):
            return _mark(self._path(disk)).read_text()
        return ""

    def note_order(self, disk: str, order: str) -> None:
        """Remember with the disk, for as long as it lives, that it was put back."""
        write_atomically(_mark(self._path(disk)), order.encode())

    def holds_data(self, disk: str) -> bool:
        """Whether a disk was ever written to, or is made of what another one held."""
        below = chains.backing(self.folder.parent, self._path(disk))
        return holds_data(self._path(disk)) or (below is not None and below.parent.name == chains.FROZEN)

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
        self.frozen.sweep()
        return DiskObserved(id=disk, ready=False)

    def _grow(self, disk: DiskSpec, path: Path) -> DiskObserved:
        size = read_qcow2(path).virtual_size
        rules.check_present(disk, size)
        if disk.size_bytes > size:
            qemu_img.resize(path, disk.size_bytes)
            sync(path)
        return _observe(path)

    def _create(self, disk: DiskSpec, path: Path) -> DiskObserved:
        with self.frozen.lock:
            below = self._origin(disk)
            rules.check_new(disk, read_qcow2(below).virtual_size if below else None)
            self._overlay(path, below, disk.size_bytes)
        _mark(path).touch(0o600)
        return _observe(path)

    def _origin(self, disk: DiskSpec) -> Path | None:
        """The file that a new disk is to be an overlay of. Raises HostError if it isn't here."""
        if disk.origin is None:
            return self.library.path(disk.image) if disk.image else None
        return self.frozen.of(disk.origin)

    def _overlay(self, path: Path, below: Path | None, size_bytes: int) -> None:
        """An overlay in the disk's place; what its file held is lost."""
        with appearing(path) as temporary:
            qemu_img.create(temporary, size_bytes, chains.relative(below) if below else None, unseen=True)
            temporary.chmod(0o600)


def _mark(path: Path) -> Path:
    return path.with_suffix(".made")


def _lost(path: Path) -> str:
    return f"the disk's file {path} is gone. Bring it back from a copy, or delete the VM and its disk."


def _observe(path: Path) -> DiskObserved:
    try:
        return DiskObserved(id=path.stem, ready=True, size_bytes=read_qcow2(path).virtual_size)
    except (HostError, OSError) as error:
        return DiskObserved(id=path.stem, ready=False, message=str(error))
