"""A VM's serial log: QEMU appends to `serial.log` by itself; here it is kept small.

QEMU can't be told to reopen its log, but it appends, so truncating the file under it works. What a guest prints
between the copy and the cut (microseconds) is lost. While Skerry is down nothing cuts: the log then grows as fast
as the emulated UART lets a guest flood it, and is cut when Skerry is back.
"""

import os
from pathlib import Path

MOST = 1 << 20
LOG, OLDER = "serial.log", "serial.log.1"


def open_log(folder: Path) -> int:
    """A descriptor for QEMU to append to."""
    return os.open(folder / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def rotate(folder: Path) -> None:
    """Once the log is longer than MOST, move its end to `serial.log.1` and empty it."""
    log = folder / LOG
    try:
        if log.stat().st_size <= MOST:
            return
    except FileNotFoundError:
        return
    beside = folder / f".{OLDER}.new"
    try:
        beside.write_bytes(_end(log, MOST))
        beside.replace(folder / OLDER)
    except OSError:  # the disk is full: a guest's log mustn't keep it so
        beside.unlink(missing_ok=True)
    os.truncate(log, 0)


def end_of_log(folder: Path) -> bytes | None:
    """The last MOST bytes that the guest printed; None if there is no log."""
    log = folder / LOG
    if not log.exists():
        return None
    new = _end(log, MOST)
    return _end(folder / OLDER, MOST - len(new)) + new


def _end(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - most, 0))
            return file.read(most)
    except FileNotFoundError:
        return b""
