"""What every storage driver refuses, the fake one included."""

from skerry.host.errors import Refused
from skerry.host.storage.headers import MAX_BYTES, SECTOR
from skerry.hostspec import CheckpointedDisk, DiskSpec


def check_new(disk: DiskSpec, origin_bytes: int | None) -> None:
    """Raises Refused when a disk can't be made with that size, of something of `origin_bytes` unless made empty."""
    if not 0 < disk.size_bytes <= MAX_BYTES or disk.size_bytes % SECTOR:
        raise Refused(
            f"disk {disk.id} can't have {disk.size_bytes} bytes: a multiple of {SECTOR}, at most {MAX_BYTES >> 30} GiB"
        )
    if origin_bytes is not None and disk.size_bytes < origin_bytes:
        origin = f"its image {disk.image}" if disk.image else "what it is made of"
        raise Refused(
            f"disk {disk.id} of {disk.size_bytes} bytes is smaller than {origin}, "
            f"which has {origin_bytes}: ask for at least {-(-origin_bytes >> 30)} GiB"
        )


def check_present(disk: DiskSpec, present_bytes: int) -> None:
    """Raises Refused when a disk that is here would have to shrink."""
    if disk.size_bytes < present_bytes:
        raise Refused(
            f"disk {disk.id} has {present_bytes} bytes and can't be shrunk to {disk.size_bytes}; it was left as it is"
        )
    check_new(disk, None)


def no_origin(origin: CheckpointedDisk) -> str:
    """Why no disk can be made of `origin`."""
    return f"checkpoint {origin.checkpoint} with what disk {origin.disk} held is not on this host"
