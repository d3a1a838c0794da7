"""The log of a Skerry in the background: this process's own output, in files that are rotated by size."""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

BYTES_AT_MOST = 10 << 20
KEPT = 3
_LOOK_SECONDS = 30


def take_output(path: Path) -> None:
    """Send standard output and error to `path` from now on, and rotate it whenever it has grown too large.

    The descriptors themselves are redirected, so that libraries and child processes write there as well.
    """
    redirect(path)
    threading.Thread(target=_keep_small, args=(path,), name="log rotation", daemon=True).start()


def redirect(path: Path) -> None:
    """Rotate `path` if it is due, and open it as descriptors 1 and 2."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size >= BYTES_AT_MOST:
        rotate(path)
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def rotate(path: Path) -> None:
    """log → log.1 → log.2 → log.3 → gone."""
    for number in range(KEPT, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        newer = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
        if newer.exists():
            newer.replace(older)


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, "" when there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _keep_small(path: Path) -> None:
    pause = threading.Event()
    while not pause.wait(_LOOK_SECONDS):
        with suppress(OSError):  # a full disk: at the next look
            if path.exists() and path.stat().st_size >= BYTES_AT_MOST:
                redirect(path)
