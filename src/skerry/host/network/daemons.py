"""Programs that outlive this process, found again by pid, start time and argument list.

A pid alone may belong to anybody after a while; with the start time (clock ticks since boot, proc(5)) and the exact
arguments it is ours. Signals go through a pidfd taken before the check, so that they can't hit a successor either.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

START_SECONDS, STOP_SECONDS = 1, 5


class Daemon:
    """One program, always started as `argv`, and the record of it at `record` (JSON: pid, start time, arguments).

    `argv` names a path of ours, so that a process which runs with exactly these arguments is ours as well: one whose
    record was never written.
    """

    def __init__(self, record: Path, argv: Sequence[str]) -> None:
        self.record, self.argv = record, list(argv)

    def adopt(self, pid: int) -> None:
        """Remember the running process `pid` as this daemon: one that runs as `argv`, or is about to."""
        deadline = time.monotonic() + START_SECONDS
        while arguments(pid) != self.argv and time.monotonic() < deadline:
            time.sleep(0.001)  # within execve(2) it shows no arguments, or still its launcher's
        facts = {"pid": pid, "started": _started(pid), "argv": arguments(pid)}
        temporary = self.record.with_suffix(".new")
        temporary.write_bytes(orjson.dumps(facts))
        temporary.replace(self.record)

    def running(self) -> bool:
        """Whether it lives and was started as it would be started now."""
        recorded = self._recorded()
        return recorded is not None and recorded[1] == self.argv

    def pid(self) -> int | None:
        """Its process, whatever it was started as; None when it doesn't run."""
        recorded = self._recorded()
        return recorded[0] if recorded else None

    def signal(self, number: int) -> bool:
        """Send a signal if the process is still ours; whether it was sent."""
        recorded = self._recorded()
        if recorded is None:
            return False
        with _pidfd(recorded[0]) as descriptor:
            if descriptor is None or self._recorded() is None:
                return False
            signal.pidfd_send_signal(descriptor, number)
            return True

    def stop(self) -> None:
        """End it (SIGKILL after STOP_SECONDS) and forget the record. No-op when it doesn't run."""
        self._end_recorded()
        for pid in find(self.argv):
            self.adopt(pid)
            self._end_recorded()

    def _end_recorded(self) -> None:
        recorded = self._recorded()
        if recorded is not None:
            with _pidfd(recorded[0]) as descriptor:
                if descriptor is not None and self._recorded() is not None:
                    _end(descriptor)
        self.record.unlink(missing_ok=True)

    def _recorded(self) -> tuple[int, list[str]] | None:
        """Pid and arguments, if the recorded process still runs."""
        try:
            facts = orjson.loads(self.record.read_bytes())
            pid, argv = int(facts["pid"]), list(facts["argv"])
            alive = _started(pid) == facts["started"] and arguments(pid) == argv
        except (OSError, ValueError, KeyError):
            return None
        return (pid, argv) if alive else None


def find(argv: Sequence[str], *, launchers: bool = False) -> list[int]:
    """The pids of all processes that run with exactly `argv`; with `launchers` also those about to become one."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    lines = {pid: arguments(pid) for pid in pids}
    return [pid for pid, line in lines.items() if (line[-len(argv) :] if launchers else line) == list(argv)]


def arguments(pid: int) -> list[str]:
    """The argument list of a process; empty for none, or one that has ended."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in line.split(b"\0")[:-1]]


def end(pid: int) -> None:
    """End a process, hard after STOP_SECONDS."""
    with _pidfd(pid) as descriptor:
        if descriptor is not None:
            _end(descriptor)


def _started(pid: int) -> int:
    """Field 22 of /proc/pid/stat, counted behind the program's name, which may hold anything."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int | None]:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _end(descriptor: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        signal.pidfd_send_signal(descriptor, number)
        # poll(2), for Skerry may have more than select(2)'s 1,024 files.
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if poll.poll(STOP_SECONDS * 1000):
            return
