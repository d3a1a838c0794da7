"""The machine type for a new VM: the newest versioned q35 that this QEMU has, kept for the VM's life."""

import re
from functools import cache

from skerry.host.errors import MissingFeature
from skerry.host.run import run

BINARY = "qemu-system-x86_64"
OLDEST = (7, 2)


@cache
def newest_q35(binary: str = BINARY) -> str:
    """Like `pc-q35-7.2`. Raises MissingFeature where QEMU is missing or has no such type."""
    return parse_newest_q35(run([binary, "-machine", "help"]).decode())


def parse_newest_q35(help_text: str) -> str:
    """The type that `q35` is an alias of in the output of `-machine help`."""
    found = re.search(r"\(alias of (pc-q35-[\d.]+)\)", help_text)
    if found is None:
        raise MissingFeature("this QEMU has no q35 machine: install qemu-system-x86")
    return found[1]


def full_version(binary: str = BINARY) -> str:
    """Its version with that of the distribution's package, as QEMU says it."""
    return run([binary, "--version"]).decode().partition("\n")[0].strip()


def version(binary: str = BINARY) -> tuple[int, int]:
    """QEMU's (major, minor) version."""
    found = re.search(r"version (\d+)\.(\d+)", run([binary, "--version"]).decode())
    if found is None:
        raise MissingFeature(f"{binary} doesn't tell its version")
    return int(found[1]), int(found[2])
