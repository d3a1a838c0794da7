"""A guest of 124 bytes that boots in a blink under SeaBIOS, for what a checkpoint must keep.

It counts in memory, from 1; with each clock tick (18.2 a second) it writes the number to the second sector of its disk
(int 13h, AH=43h), little-endian, and prints it on COM1 as eight hexadecimal digits and a line end.
"""

from pathlib import Path

BOOT_SECTOR = bytes.fromhex(
    "fa31c08ed88ec08ed0bc007c8816007e66c70600800000000066ff060080be6c"
    "7cb44330c08a16007ecd13668b1e0080b9080066c1c30488d8240f3c0a720204"
    "070430e81100e2ebb00de80a00b00ae80500fbf4faebc25288c4bafd03eca820"
    "74fbbaf80388e0ee5ac3669010000100008000000100000000000000"
)
SIZE = 1 << 20


def write_disk(path: Path) -> None:
    """A raw disk that boots it."""
    path.write_bytes((BOOT_SECTOR.ljust(510, b"\0") + b"\x55\xaa").ljust(SIZE, b"\0"))
