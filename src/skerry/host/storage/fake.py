"""A storage driver that keeps everything in memory and refuses what the real one refuses."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import msgspec

from skerry.host.compute.driver import DiskFile
from skerry.host.errors import HostError
from skerry.host.storage import names, rules
from skerry.hostspec import DiskObserved, DiskSpec, ImageObserved

Operation = Literal["ensure", "disks", "file", "images", "free_bytes"]

DEBIAN_12 = ImageObserved(
    id="debian-12-fake",
    publisher="Debian",
    offer="debian-12",
    sku="12-gen2",
    version="0.20261122.1",
    size_bytes=2 << 30,
    alias="Debian12",
    description="Debian 12 (bookworm)",
)


class FakeStorage:
    """Disks are sizes in a dictionary. `image_list` and `free` may be set by a test at any time."""

    def __init__(self, images: Sequence[ImageObserved] = (DEBIAN_12,), free: int = 1 << 40) -> None:
        self.image_list = list(images)
        self.free = free
        self._sizes: dict[str, int] = {}
        self._images: dict[str, str | None] = {}
        self._frozen: dict[tuple[str, str], int] = {}
        self._failures: dict[Operation, list[str]] = defaultdict(list)

    def freeze(self, checkpoint: str, disks: Sequence[str]) -> None:
        """Keep what disks hold for disks that are made of it."""
        if missing := [disk for disk in disks if disk not in self._sizes]:
            raise HostError(f"disk {missing[0]} is not on this host")
        self._frozen |= {(checkpoint, disk): self._sizes[disk] for disk in disks}

    def thaw(self, checkpoint: str) -> None:
        """Make no more disks of what a checkpoint keeps."""
        self._frozen = {key: size for key, size in self._frozen.items() if key[0] != checkpoint}

    def fail_next(self, operation: Operation, message: str) -> None:
        """The next call of `operation` raises HostError(message); several queue up."""
        self._failures[operation].append(message)

    def alias(self, urn: str, image: str) -> None:
        """Let `urn` lead to the image of that id."""
        self.image_list = [
            msgspec.structs.replace(known, aliases=(*known.aliases, urn)) if known.id == image else known
            for known in self.image_list
        ]

    def ensure(self, disk: DiskSpec) -> DiskObserved:
        self._meet_failure("ensure")
        names.disk_id(disk.id)
        if not disk.present:
            self._sizes.pop(disk.id, None)
            self._images.pop(disk.id, None)
            return DiskObserved(id=disk.id, ready=False)
        if disk.id in self._sizes:
            rules.check_present(disk, self._sizes[disk.id])
        else:
            rules.check_new(disk, self._origin_bytes(disk))
            self._images[disk.id] = disk.image
        self._sizes[disk.id] = disk.size_bytes
        return DiskObserved(id=disk.id, ready=True, size_bytes=disk.size_bytes)

    def disks(self) -> Sequence[DiskObserved]:
        self._meet_failure("disks")
        return [DiskObserved(id=id, ready=True, size_bytes=size) for id, size in sorted(self._sizes.items())]

    def file(self, disk: str) -> DiskFile:
        self._meet_failure("file")
        if disk not in self._sizes:
            raise HostError(f"disk {disk} is not on this host")
        disk_file = DiskFile(path=f"/fake/disks/{disk}.qcow2", format="qcow2")
        image = self._images[disk]
        return replace(disk_file, backing=((f"/fake/images/{image}/disk.qcow2", "qcow2"),)) if image else disk_file

    def images(self) -> Sequence[ImageObserved]:
        self._meet_failure("images")
        return list(self.image_list)

    def free_bytes(self) -> int:
        self._meet_failure("free_bytes")
        return self.free

    def _origin_bytes(self, disk: DiskSpec) -> int | None:
        if disk.origin is None:
            return self._image_bytes(disk.image)
        frozen = self._frozen.get((disk.origin.checkpoint, disk.origin.disk))
        if frozen is None:
            raise HostError(rules.no_origin(disk.origin))
        return frozen

    def _image_bytes(self, image: str | None) -> int | None:
        if image is None:
            return None
        for known in self.image_list:
            if known.id == image:
                return known.size_bytes
        raise HostError(f"image {image} is not in this host's library: `skerry image list` shows what is")

    def _meet_failure(self, operation: Operation) -> None:
        if self._failures[operation]:
            raise HostError(self._failures[operation].pop(0))
