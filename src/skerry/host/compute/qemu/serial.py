"""A VM's serial log: QEMU appends to `serial.log` by itself; a process of its own keeps it small, Skerry up or down.

QEMU can't be told to bound its log or to reopen it, but it appends, so truncating the file under it works, and a log
that can't be written never holds a guest up. What a guest prints between the copy and the cut (microseconds) is lost.
See docs/decisions/0013. This file is also that process's program: it needs the standard library only, and stays small.
"""

import contextlib
import fcntl
import os
import sys
import time
from pathlib import Path

MOST = 1 << 20
LOG, OLDER = "serial.log", "serial.log.1"
LOOK_SECONDS = 1.0
IDLE_LOOKS = 60
"""So often in a row nobody has written: the process ends, for then no QEMU of this host lives."""


def open_log(folder: Path) -> int:
    """A descriptor for QEMU to append to. Its lock tells, for as long as anybody has it open, that somebody writes."""
    descriptor = os.open(folder / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def rotate(folder: Path) -> None:
    """Once the log is longer than MOST, move its end to `serial.log.1` and empty it, even where that finds no room."""
    log = folder / LOG
    if not log.exists() or log.stat().st_size <= MOST:
        return
    beside = folder / f".{OLDER}.new"
    try:
        beside.write_bytes(_end(log, MOST))
        beside.replace(folder / OLDER)
    except OSError:
        beside.unlink(missing_ok=True)
    os.truncate(log, 0)


def end_of_log(folder: Path) -> bytes | None:
    """The last MOST bytes that the guest printed; None if there is no log."""
    log = folder / LOG
    if not log.exists():
        return None
    new = _end(log, MOST)
    return _end(folder / OLDER, MOST - len(new)) + new


def keep(folder: Path, idle: int = 0) -> None:
    """Rotate the log of every VM below `folder` until nobody has written for a minute."""
    while idle < IDLE_LOOKS:
        written = False
        for vm in list(folder.iterdir()) if folder.is_dir() else ():
            with contextlib.suppress(OSError):  # a VM that goes, or a disk in trouble: the next look is soon
                rotate(vm)
                written |= _is_written(vm / LOG)
        idle = 0 if written else idle + 1
        time.sleep(LOOK_SECONDS)


def _is_written(log: Path) -> bool:
    with log.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _end(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - most, 0))
            return file.read(most)
    except FileNotFoundError:
        return b""


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
