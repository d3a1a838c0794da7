"""Memory of a guest that doesn't run: a sparse file, and the sealed memfd that guests which continue from it share."""

import fcntl
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from skerry.host.errors import HostError

CHUNK = 1 << 20


def new_memory(size: int) -> int:
    """A memfd of `size` bytes for a template in the making."""
    descriptor = os.memfd_create("skerry-template", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(descriptor, size)
    return descriptor


def save_memory(descriptor: int, path: Path) -> None:
    """Write a memfd to a sparse file; pages of zeros, which most are, take no room."""
    with path.open("wb") as file:
        for place, part in _content(descriptor):
            file.seek(place)
            file.write(part)
        file.truncate(os.fstat(descriptor).st_size)


def load(path: Path, size: int, checksum: int) -> int:
    """The memory as a memfd that nobody can change any more. Raises HostError when its file is damaged."""
    if path.stat().st_size != size or crc(path) != checksum:
        raise HostError(f"{path} is damaged")
    memory = new_memory(size)
    try:
        with path.open("rb") as file:
            for place, part in _content(file.fileno()):
                os.pwrite(memory, part, place)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    except BaseException:
        os.close(memory)
        raise
    return memory


def crc(path: Path) -> int:
    """CRC-32 over the parts that aren't empty, and where they are."""
    found = 0
    with path.open("rb") as file:
        for place, part in _content(file.fileno()):
            found = zlib.crc32(part, zlib.crc32(str(place).encode(), found))
    return found


def _content(descriptor: int) -> Iterator[tuple[int, bytes]]:
    """The chunks of a sparse file that aren't all zeros, with their places."""
    place = 0
    while True:
        try:
            place = os.lseek(descriptor, place, os.SEEK_DATA) // CHUNK * CHUNK
        except OSError:  # no data from here on
            return
        part = os.pread(descriptor, CHUNK, place)
        if part.count(0) != len(part):
            yield place, part
        place += CHUNK
