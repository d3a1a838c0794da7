"""qemu-img, always told what format it reads: it never guesses from what a file holds."""

from pathlib import Path
from typing import Any

import orjson

from skerry.host.errors import CommandError, HostError, Refused
from skerry.host.run import run
from skerry.host.storage.headers import ImageHeader

HOUR = 3600
# An image made to exhaust its reader meets this limit; an honest one stays far below.
_MEMORY_LIMIT = ("prlimit", f"--as={4 << 30}", "--")


def create(path: Path, size_bytes: int, backing: str | None = None, *, unseen: bool = False) -> None:
    """An empty qcow2 file, or an overlay of `backing` (a qcow2 file; relative names start at `path`'s folder).

    `unseen`: don't look at `backing`, which a guest may be writing to.
    """
    below = ["-b", backing, "-F", "qcow2", *(["-u"] if unseen else [])] if backing else []
    _run(["qemu-img", "create", "-q", "-f", "qcow2", *below, str(path), str(size_bytes)], timeout=60)


def resize(path: Path, size_bytes: int) -> None:
    """Grow a qcow2 file that no guest uses. Raises HostError if one does."""
    try:
        _run(["qemu-img", "resize", "-q", "-f", "qcow2", str(path), str(size_bytes)], timeout=60)
    except CommandError as error:
        if "lock" in error.stderr:
            raise HostError(f"{path.stem} is in use and can't be resized now: deallocate its VM first") from error
        raise


def check(path: Path) -> None:
    """Walk a foreign qcow2 file's tables. Raises Refused if they contradict each other."""
    source = ImageHeader("qcow2", 0)
    try:
        _run([*_MEMORY_LIMIT, "qemu-img", "check", "-q", _json_name(path, source)], timeout=HOUR)
    except CommandError as error:
        if error.status == 3:  # leaked clusters: wasteful, not wrong
            return
        raise Refused(f"{path} is damaged: {error.stderr.strip()[-500:] or '`qemu-img check` found errors'}") from error


def convert(source: Path, header: ImageHeader, target: Path) -> None:
    """Write the disk that is in `source` as a compressed qcow2 file without a backing file."""
    options = ["-O", "qcow2", "-c", "-o", "compression_type=zstd"]
    _run([*_MEMORY_LIMIT, "qemu-img", "convert", *options, _json_name(source, header), str(target)], timeout=4 * HOUR)


def _json_name(path: Path, header: ImageHeader) -> str:
    """A name that says the format itself. A fixed VHD is a raw disk with a footer, which needs no reader of its own."""
    node: dict[str, Any] = {"driver": "raw", "file": {"driver": "file", "filename": str(path.absolute())}}
    if header.format == "qcow2":
        node["driver"] = "qcow2"
    elif header.format == "vhd":
        node["size"] = header.virtual_size
    return "json:" + orjson.dumps(node).decode()


def _run(argv: list[str], timeout: float) -> None:
    try:
        run(argv, timeout=timeout)
    except CommandError as error:
        if "No space left on device" in error.stderr:
            raise HostError(f"the disk is full: {error.stderr.strip()[-300:]}. Nothing was kept; make room") from error
        raise
