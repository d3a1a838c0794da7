"""QEMU processes: started without rights, found again, ended.

A process is known by pid *and* start time *and* boot: pids are used again.
"""

import os
import pwd
import select
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from skerry.host.errors import HostError

PROC = Path("/proc")
USER = "skerry-qemu"

# A clean end flushes qcow2's tables; a QEMU stuck in the host's storage gets this long.
TERM_SECONDS, KILL_SECONDS = 5.0, 10.0


@dataclass(frozen=True)
class Process:
    """`started` is in clock ticks since boot (proc(5), stat field 22)."""

    pid: int
    started: int


@dataclass(frozen=True)
class Identity:
    """Whom a QEMU runs as."""

    uid: int
    gid: int
    name: str


def identity() -> Identity | None:
    """The unprivileged user for QEMU; None where Skerry has no right to change user."""
    if os.geteuid() != 0:
        return None
    for name in (USER, "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Identity(entry.pw_uid, entry.pw_gid, name)
    raise HostError(f"neither user {USER} nor nobody exists: `useradd --system {USER}`")


def confined(argv: Sequence[str], user: Identity | None, netns: str | None, groups: Sequence[int] = ()) -> list[str]:
    """`argv` inside the network namespace `netns` (a path) as `user`; both wrappers exec, so the pid stays one."""
    enter = ["nsenter", f"--net={netns}"] if netns else []
    if user is None:
        return [*enter, *argv]
    keep = [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]
    drop = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", *keep, "--inh-caps=-all", "--no-new-privs"]
    return [*enter, *drop, *argv]


def kvm_groups(device: Path = Path("/dev/kvm")) -> list[int]:
    """The group that may open /dev/kvm, where that isn't root's own."""
    try:
        gid = device.stat().st_gid
    except OSError:
        return []
    return [] if gid == 0 else [gid]


def boot_id() -> str:
    """Changes with every boot of the host."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def look_up(pid: int) -> Process | None:
    """The process with this pid; None when there is none or it is a zombie."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The command name may hold spaces and parentheses; fields count from behind its last one.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else Process(pid, int(fields[19]))


def is_qemu_of(process: Process, vm: str) -> bool:
    """Whether the process is still the one that was started, and runs this VM."""
    return look_up(process.pid) == process and vm in _arguments(process.pid)


def find_qemu(vm: str) -> Process | None:
    """A QEMU that runs `vm` though nobody noted its pid: Skerry ended between starting and noting it."""
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and vm in _arguments(int(entry.name)):
            return look_up(int(entry.name))
    return None


def machine_of(vm: str) -> str | None:
    """The machine type of a QEMU that runs `vm`, from its command line."""
    found = find_qemu(vm)
    return next((word.split(",")[0] for word in _arguments(found.pid, b"-machine")), None) if found else None


def age(started: int) -> float:
    """Seconds since a process with this start time was started; large for 0."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def ending(status: int) -> str:
    """What an exit status says, negative for a signal."""
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def renice(process: Process, niceness: int) -> None:
    """By how much it stands back behind other processes, 0 to 19, with all its threads."""
    for thread in (PROC / str(process.pid) / "task").iterdir():
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.setpriority(os.PRIO_PROCESS, int(thread.name), niceness)


def end(process: Process) -> None:
    """End it, cleanly if it obeys within TERM_SECONDS, and wait until it is gone. Raises HostError if it stays."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if look_up(process.pid) == process:
            _end(process, descriptor)
    finally:
        os.close(descriptor)


def _end(process: Process, descriptor: int) -> None:
    for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
        if _readable(descriptor, seconds):
            return
    raise HostError(f"QEMU process {process.pid} does not end even when killed: the host's storage may hang")


def _readable(descriptor: int, seconds: float) -> bool:
    """Whether the process of a pidfd ended in time. poll(2), for Skerry may have more than select(2)'s 1,024 files."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _arguments(pid: int, option: bytes = b"-uuid") -> list[str]:
    """The words after `option` of a process's command line, or none."""
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
    return [following.decode(errors="replace") for word, following in pairwise(words) if word == option]
