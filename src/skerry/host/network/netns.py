"""Named network namespaces, and work done inside one of them.

A namespace is a property of a thread. Whatever has to happen inside one (a socket, a TAP, netlink, a sysctl) runs in a
throw-away thread that enters it and ends there; sockets and descriptors made so stay in that namespace for life.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pyroute2 import netns

DIRECTORY = Path("/run/netns")
OWN = Path("/proc/self/ns/net")
"""The namespace this process was started in: the threads that leave it never come back."""
CLONE_NEWNET = 0x40000000

T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)


def path(name: str) -> Path:
    return DIRECTORY / name


def exists(name: str) -> bool:
    """Whether `name` is a living namespace; a file left without its mount is not."""
    try:
        return path(name).stat().st_dev != DIRECTORY.stat().st_dev
    except FileNotFoundError:
        return False


def names(prefix: str) -> list[str]:
    if not DIRECTORY.is_dir():
        return []
    return sorted(entry.name for entry in DIRECTORY.iterdir() if entry.name.startswith(prefix))


def create(name: str) -> bool:
    """Make the namespace unless it is there; whether it was made now."""
    if exists(name):
        return False
    path(name).unlink(missing_ok=True)
    _in_thread(lambda: _unshare_as(name))
    return True


def create_or_find(name: str, pid: int | None) -> bool:
    """Like `create`; a namespace that lost its name while process `pid` runs in it is given the name again."""
    if exists(name) or pid is None:
        return create(name)
    path(name).unlink(missing_ok=True)
    netns.attach(name, pid)
    return False


def remove(name: str) -> None:
    """Take the name away; the kernel frees the namespace when the last socket or process in it ends."""
    if exists(name):
        netns.remove(name)
    else:
        path(name).unlink(missing_ok=True)


def processes(name: str) -> list[int]:
    """Who runs in the namespace."""
    if not exists(name):
        return []
    here, found = path(name).stat().st_ino, []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and (entry / "ns/net").stat().st_ino == here:
                found.append(int(entry.name))
    return found


def inside(namespace: Path, work: Callable[[], T]) -> T:
    """Run `work` inside `namespace` and return its result or raise its exception."""

    def enter_and_work() -> T:
        _enter(namespace)
        return work()

    return _in_thread(enter_and_work)


def inside_new(work: Callable[[], T]) -> T:
    """Run `work` in a nameless namespace that ends with it."""

    def leave_and_work() -> T:
        _check(_libc.unshare(CLONE_NEWNET), OWN)
        return work()

    return _in_thread(leave_and_work)


def sysctl(key: str, value: str) -> None:
    """Set `net.…` (with slashes) of the namespace the calling thread is in; a key the kernel lacks is left out."""
    file = Path("/proc/sys/net") / key
    if file.exists() and file.read_text().strip() != value:
        file.write_text(value)


def _enter(namespace: Path) -> None:
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWNET), namespace)
    finally:
        os.close(descriptor)


def _unshare_as(name: str) -> None:
    _check(_libc.unshare(CLONE_NEWNET), path(name))
    netns.attach(name, "thread-self")


def _check(status: int, where: Path) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(where))


def _in_thread(work: Callable[[], T]) -> T:
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="netns").start()
    return done.result()
