"""What every storage driver refuses, the fake one included."""

from skerry.host.errors import Refused
from skerry.host.storage.headers import MAX_BYTES, SECTOR
from skerry.hostspec import DiskSpec


def check_new(disk: DiskSpec, image_bytes: int | None) -> None:
    """Raises Refused when a disk can't be made with that size, on top of an image of `image_bytes` if it has one."""
    if not 0 < disk.size_bytes <= MAX_BYTES or disk.size_bytes % SECTOR:
        raise Refused(
            f"disk {disk.id} can't have {disk.size_bytes} bytes: a multiple of {SECTOR}, at most {MAX_BYTES >> 30} GiB"
        )
    if image_bytes is not None and disk.size_bytes < image_bytes:
        raise Refused(
            f"disk {disk.id} of {disk.size_bytes} bytes is smaller than its image {disk.image}, "
            f"which has {image_bytes}: ask for at least {-(-image_bytes >> 30)} GiB"
        )


def check_present(disk: DiskSpec, present_bytes: int) -> None:
    """Raises Refused when a disk that is here would have to shrink."""
    if disk.size_bytes < present_bytes:
        raise Refused(
            f"disk {disk.id} has {present_bytes} bytes and can't be shrunk to {disk.size_bytes}; it was left as it is"
        )
    check_new(disk, None)
