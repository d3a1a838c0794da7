"""A guest of 144 bytes that boots in a blink under SeaBIOS, for what a driver must see of a guest.

It enables the ACPI power button (port 0x602), prints "mini guest is up" on COM1, then polls:
power button (port 0x600, bit 8) or an "s" on COM1: power off (port 0x604); "p": panic (pvpanic, port 0x505);
"f": print 1.1 MiB of "x", then "end of flood".
"""

from pathlib import Path

BOOT_SECTOR = bytes.fromhex(
    "fa31c08ed88ed0bc007cba0206b80001efbe6f7ce84c00ba0006edf6c401751a"
    "bafd03eca80174efbaf803ec3c73740a3c70740f3c667413ebddba0406b80020"
    "efebd4ba0505b001eeebccbaf80366b900001200b078ee664975fbbe827ce802"
    "00ebb4baf803ac84c07403eeebf8c36d696e692067756573742069732075700d"
    "0a00656e64206f6620666c6f6f640d0a"
)
UP = b"mini guest is up"
SIZE = 1 << 20


def write_disk(path: Path) -> None:
    """A raw disk that boots it."""
    path.write_bytes((BOOT_SECTOR.ljust(510, b"\0") + b"\x55\xaa").ljust(SIZE, b"\0"))
