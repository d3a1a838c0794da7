"""Private files: written whole or not at all, readable by their owner only."""

import os
import tempfile
from pathlib import Path

from skerry.identity.errors import BrokenState


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace `path` by `content` in one step; a reader sees the old or the new file, never a part."""
    private_folder(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read(path: Path) -> bytes | None:
    """The file's content, None when there is no such file. Raises BrokenState when it can't be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BrokenState(f"{path} can't be read: {error.strerror}. Run as the user that it belongs to.") from error


def private_folder(path: Path) -> None:
    """Make `path` and what is missing above it; a folder that is made here is its owner's alone."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
