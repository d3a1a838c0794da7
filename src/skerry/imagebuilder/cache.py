"""Where built images are kept, and how two builds keep out of each other's way.

CACHE/images/ID/{disk.qcow2,image.json}   finished; appears whole, by a rename
CACHE/images/.build-*                     being built; swept by the next build that gets the lock
CACHE/images/NAME.lock                    held while NAME is built
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from skerry.host.run import run
from skerry.imagebuilder.errors import DiskFull
from skerry.imagebuilder.rootfs import inside

WORK_BYTES = 4 << 30
CACHE_BYTES = 1 << 30
_WORK_PREFIX = "skerry-image-"


def default_cache() -> Path:
    """$SKERRY_CACHE, else $XDG_CACHE_HOME/skerry, else ~/.cache/skerry."""
    if chosen := os.environ.get("SKERRY_CACHE"):
        return Path(chosen)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "skerry"
    return Path.home() / ".cache/skerry"


@contextmanager
def locked(images: Path, name: str) -> Iterator[None]:
    """Hold the build lock of `name`; waits while another process builds it. The lock dies with its holder."""
    images.mkdir(parents=True, exist_ok=True)
    with (images / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def staging(images: Path, name: str) -> Iterator[Path]:
    """A folder beside the finished images, removed at the end; what killed builds of `name` left goes first.

    Call it under `locked`: only then is nobody else's folder taken for a leftover.
    """
    prefix = f".build-{name}-"
    for left in images.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    require_room(images, CACHE_BYTES)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=images, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder for the raw disk (in $TMPDIR, else /var/tmp) that a user namespace's root can write to as well.

    The inner name is secret and the outer folder can't be listed, so the inner one may be open to all. The outer
    one is locked while it is in use; those that aren't are what killed builds left, and are swept first.
    """
    base = Path(os.environ.get("TMPDIR", "/var/tmp"))
    for left in base.glob(f"{_WORK_PREFIX}*"):
        _sweep(left)
    require_room(base, WORK_BYTES)
    with tempfile.TemporaryDirectory(prefix=_WORK_PREFIX, dir=base) as outer, _opened(Path(outer)) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        Path(outer).chmod(0o711)
        inner = Path(outer) / os.urandom(16).hex()
        inner.mkdir()
        inner.chmod(0o777)
        yield inner


def _sweep(left: Path) -> None:
    """Remove a dead build's work folder; a live build's is locked, another user's can't be opened."""
    with suppress(OSError), _opened(left) as handle:
        if os.fstat(handle).st_uid == os.geteuid():
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            run(inside('rm -rf "$1"/*/*', str(left)), timeout=300)
            shutil.rmtree(left)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def require_room(folder: Path, needed: int) -> None:
    """Raises DiskFull when fewer than `needed` bytes are free where `folder` is."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(
            f"{folder} has {free >> 20} MiB free and the build takes {needed >> 20} MiB there: "
            "make room, or set SKERRY_CACHE (finished images) or TMPDIR (work files) to another disk"
        )
