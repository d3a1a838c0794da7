"""What the agent needs of storage. Every call looks before it acts and may be repeated."""

from collections.abc import Sequence
from typing import Protocol

from skerry.host.compute.driver import DiskFile
from skerry.hostspec import DiskObserved, DiskSpec, ImageObserved


class StorageDriver(Protocol):
    """Disks and images of this host."""

    def ensure(self, disk: DiskSpec) -> DiskObserved:
        """Make the disk as specified: create it from its image, grow it, or remove it (`present=False`).

        Never shrinks, never overwrites a finished disk, never leaves a half-made one under its final name.
        Raises HostError: image missing, disk full, a disk smaller than its image, a shrink.
        """

    def disks(self) -> Sequence[DiskObserved]:
        """Every disk file that is here, also those that no spec names."""

    def file(self, disk: str) -> DiskFile:
        """How to open a disk that is ready. Raises HostError if it isn't here."""

    def images(self) -> Sequence[ImageObserved]:
        """The image library as it is now; cheap when nothing changed."""

    def free_bytes(self) -> int:
        """Free space where disks are made."""
