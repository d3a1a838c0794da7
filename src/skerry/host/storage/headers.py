"""Our own look at an image file before any other program opens it.

An image can name other files of the host (a backing file, a data file), claim absurd sizes, or rely on features that
its reader doesn't know. All of that is refused here, from the bytes alone; what passes is handed on with its format
declared. Sources: QEMU's docs/interop/qcow2.txt; Microsoft's Virtual Hard Disk Image Format Specification (2006).
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skerry.host.errors import Refused

Format = Literal["qcow2", "raw", "vhd"]

SECTOR = 512
MAX_BYTES = 32767 << 30  # Azure's largest managed disk
_VHD_FOOTER = 512

_QCOW2_MAGIC = b"QFI\xfb"
_QCOW2 = struct.Struct(">4sIQIIQIIQQIIQ")
_QCOW2_V3 = struct.Struct(">QQQII")
_MAX_L1_BYTES = 32 << 20
_MAX_REFCOUNT_TABLE_BYTES = 8 << 20
_COMPRESSION_BIT, _EXTENDED_L2_BIT = 1 << 3, 1 << 4
_REFUSED_BITS = {
    1 << 0: "wasn't closed properly; run `qemu-img check -r leaks` on it first",
    1 << 1: "is marked as corrupt",
    1 << 2: "keeps its data in another file; make one file of it with `qemu-img convert`",
}
_EXTENSION_END = 0
_REFUSED_EXTENSIONS = {
    0x0537BE77: "is encrypted",
    0x44415441: "keeps its data in another file; make one file of it with `qemu-img convert`",
}

_FOREIGN = (
    (0, b"KDMV", "VMDK"),
    (0, b"# Disk DescriptorFile", "VMDK"),
    (0, b"vhdxfile", "VHDX"),
    (0, b"conectix", "a dynamic or differencing VHD"),
    (0, b"QED\0", "QED"),
    (64, b"\x7f\x10\xda\xbe", "VDI"),
)


@dataclass(frozen=True)
class ImageHeader:
    """What an image file says of itself. `virtual_size`: bytes of the disk in it, a multiple of 512.

    `backing`: the backing file's name as it stands in a qcow2 header; only `read_qcow2` ever returns one.
    """

    format: Format
    virtual_size: int
    backing: str | None = None


def inspect(path: Path, declared: Format | None = None) -> ImageHeader:
    """The header of an image that somebody gave us. Raises Refused for everything that isn't plain and whole.

    With `declared` the file must be of that format; without, the format is found out. A file without any known
    mark is a raw disk if it has a partition table.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}") from error
    try:
        return _Reader(path, handle).inspect(declared)
    finally:
        os.close(handle)


def read_qcow2(path: Path) -> ImageHeader:
    """The header of a qcow2 file of our own making, which may have a backing file. Raises Refused if it is damaged."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _Reader(path, handle).qcow2(backing_allowed=True)
    finally:
        os.close(handle)


def holds_data(path: Path) -> bool:
    """Whether a qcow2 file of our own making has ever been written to; one that hasn't shows its backing file only."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        reader = _Reader(path, handle)
        reader.qcow2(backing_allowed=True)
        *_, entries, offset = _QCOW2.unpack(reader.bytes_at(0, _QCOW2.size))[:9]
        return any(reader.bytes_at(offset, entries * 8))
    finally:
        os.close(handle)


class _Reader:
    def __init__(self, path: Path, handle: int) -> None:
        status = os.fstat(handle)
        self.path, self.handle, self.length = path, handle, status.st_size
        if status.st_mode & 0o170000 != 0o100000:
            raise self.refused("is not a regular file")

    def refused(self, why: str) -> Refused:
        return Refused(f"{self.path} {why}")

    def bytes_at(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes; Refused if the file ends before."""
        if offset < 0 or offset + count > self.length:
            raise self.refused(f"is cut short: it has {self.length} bytes and its header points beyond them")
        data = os.pread(self.handle, count, offset)
        if len(data) != count:
            raise self.refused("is being changed while it is read")
        return data

    def starts_with(self, mark: bytes, offset: int = 0) -> bool:
        return os.pread(self.handle, len(mark), offset) == mark

    def inspect(self, declared: Format | None) -> ImageHeader:
        found = self.detect()
        if declared and declared != found:
            raise self.refused(f"is declared as {declared} but is {found}")
        if found == "qcow2":
            return self.qcow2(backing_allowed=False)
        return self.vhd() if found == "vhd" else self.raw()

    def detect(self) -> Format:
        if self.starts_with(_QCOW2_MAGIC):
            return "qcow2"
        for offset, mark, name in _FOREIGN:
            if self.starts_with(mark, offset):
                raise self.refused(f"is {name}: convert it with `qemu-img convert -O qcow2` first")
        has_footer = self.length >= 2 * _VHD_FOOTER and self.starts_with(b"conectix", self.length - _VHD_FOOTER)
        return "vhd" if has_footer else "raw"

    def size(self, size: int) -> int:
        if not 0 < size <= MAX_BYTES:
            raise self.refused(f"claims a disk of {size} bytes; from 512 bytes to {MAX_BYTES >> 30} GiB are possible")
        if size % SECTOR:
            raise self.refused(f"holds {size} bytes, which is not a multiple of {SECTOR}")
        return size

    def raw(self, length: int | None = None) -> ImageHeader:
        """A GPT disk has a protective MBR, so one mark tells both."""
        size = self.size(self.length if length is None else length)
        if self.bytes_at(SECTOR - 2, 2) != b"\x55\xaa":
            raise self.refused("has no partition table (MBR or GPT) and no mark of a known image format")
        return ImageHeader("raw", size)

    def vhd(self) -> ImageHeader:
        footer = self.bytes_at(self.length - _VHD_FOOTER, _VHD_FOOTER)
        version, data_offset = struct.unpack_from(">IQ", footer, 12)
        size, kind, checksum = (
            struct.unpack_from(">Q", footer, 48)[0],
            *struct.unpack_from(">II", footer, 60),
        )
        if (sum(footer) - sum(footer[64:68])) ^ 0xFFFFFFFF != checksum:
            raise self.refused("has a VHD footer with a wrong checksum")
        if version >> 16 != 1:
            raise self.refused(f"is a VHD of version {version >> 16}; only version 1 is known")
        if kind != 2 or data_offset != 0xFFFFFFFFFFFFFFFF:
            raise self.refused("is not a fixed VHD: convert it with `qemu-img convert -O vpc -o subformat=fixed` first")
        if size != self.length - _VHD_FOOTER:
            raise self.refused(f"is a VHD of {size} bytes in a file that has room for {self.length - _VHD_FOOTER}")
        self.raw(size)
        return ImageHeader("vhd", size)

    def qcow2(self, *, backing_allowed: bool) -> ImageHeader:
        fixed = _QCOW2.unpack(self.bytes_at(0, _QCOW2.size))
        magic, version, backing_at, backing_length, cluster_bits, size, encryption, l1_entries, l1_at = fixed[:9]
        refcount_at, refcount_clusters, snapshots, _snapshots_at = fixed[9:]
        if magic != _QCOW2_MAGIC or version not in (2, 3):
            raise self.refused(f"is not qcow2 of version 2 or 3 but of version {version}")
        if not 9 <= cluster_bits <= 21:
            raise self.refused(f"has clusters of 2^{cluster_bits} bytes; qcow2 has 2^9 to 2^21")
        if encryption:
            raise self.refused("is encrypted")
        if snapshots > 65536:
            raise self.refused(f"claims {snapshots} snapshots; 65536 are possible")
        self.size(size)
        features, header_length = self.features(version, 1 << cluster_bits)
        self.extensions(header_length, backing_at or (1 << cluster_bits))
        l2_entry = 16 if features & _EXTENDED_L2_BIT else 8
        self.l1_covers(size, cluster_bits, l1_entries, l2_entry)
        self.table("L1 table", l1_at, l1_entries * 8, 1 << cluster_bits, _MAX_L1_BYTES)
        refcount_bytes = refcount_clusters << cluster_bits
        self.table("refcount table", refcount_at, refcount_bytes, 1 << cluster_bits, _MAX_REFCOUNT_TABLE_BYTES)
        backing = self.backing(backing_at, backing_length, 1 << cluster_bits)
        if backing is not None and not backing_allowed:
            raise self.refused("needs a backing file; make one file of it with `qemu-img convert`")
        return ImageHeader("qcow2", size, backing)

    def features(self, version: int, cluster: int) -> tuple[int, int]:
        """The incompatible feature bits and the header's length; Refused for any that is unknown or dangerous."""
        if version == 2:
            return 0, _QCOW2.size
        bits, _compatible, _autoclear, refcount_order, length = _QCOW2_V3.unpack(
            self.bytes_at(_QCOW2.size, _QCOW2_V3.size)
        )
        for bit, why in _REFUSED_BITS.items():
            if bits & bit:
                raise self.refused(why)
        if unknown := bits & ~(_COMPRESSION_BIT | _EXTENDED_L2_BIT):
            raise self.refused(f"needs features that are not known here (incompatible bits {unknown:#x})")
        if refcount_order > 6:
            raise self.refused(f"has reference counts of 2^{refcount_order} bits; qcow2 has at most 2^6")
        if not 104 <= length <= cluster or length % 8:
            raise self.refused(f"has a header of {length} bytes; from 104 to one cluster are possible, in steps of 8")
        self.compression(bits, length)
        return bits, length

    def compression(self, bits: int, header_length: int) -> None:
        kind = self.bytes_at(104, 1)[0] if header_length > 104 else 0
        if kind > 1 or bool(kind) != bool(bits & _COMPRESSION_BIT):
            raise self.refused(f"has compression type {kind}; 0 (zlib) and 1 (zstd) are known")

    def extensions(self, start: int, end: int) -> None:
        """Walk the header extensions up to their end mark; all lie before `end`, in the first cluster."""
        while start + 8 <= min(end, self.length):
            kind, length = struct.unpack(">II", self.bytes_at(start, 8))
            if kind == _EXTENSION_END:
                return
            if why := _REFUSED_EXTENSIONS.get(kind):
                raise self.refused(why)
            if length > end - start - 8:
                raise self.refused("has a header extension that is longer than the header")
            start += 8 + (length + 7) // 8 * 8

    def l1_covers(self, size: int, cluster_bits: int, l1_entries: int, l2_entry: int) -> None:
        per_entry = (1 << cluster_bits) * ((1 << cluster_bits) // l2_entry)
        if l1_entries < -(-size // per_entry):
            raise self.refused(f"has an L1 table of {l1_entries} entries, too few for {size} bytes")

    def table(self, name: str, offset: int, length: int, cluster: int, limit: int) -> None:
        if length > limit:
            raise self.refused(f"has a {name} of {length} bytes; at most {limit} are possible")
        if offset % cluster or offset < cluster or offset + length > self.length:
            raise self.refused(f"has a {name} that doesn't lie within the file")

    def backing(self, offset: int, length: int, cluster: int) -> str | None:
        if offset == 0:
            return None
        if not 0 < length <= 1023 or offset + length > cluster:
            raise self.refused("has a backing file's name that doesn't lie in its header")
        return self.bytes_at(offset, length).decode(errors="backslashreplace")
