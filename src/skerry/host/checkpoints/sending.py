"""A running guest's memory on its way to a receiver: the guest runs on but for the last moments.

    active ──little is left──▶ pre-switchover (the guest stands still: its disks change over) ──▶ device ──▶ completed
       └──────any failure──────────┴──▶ cancelled; the guest runs on

Source: QEMU's qapi/migration.json; docs/devel/migration.rst.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from skerry.host.compute.qemu.qmp import Event, Monitor
from skerry.host.errors import HostError

CAPABILITIES = {"pause-before-switchover": True, "events": True, "x-ignore-shared": False}
CHANNEL = "checkpoint"
"""The name by which QEMU knows the receiver's socket."""
BANDWIDTH = 1 << 40  # bytes a second: no limit
# How long (ms) the guest may stand still for what is left after so many passes over its memory: a busy one writes
# faster than it is read, so at last it has to.
PATIENCE = ((1, 50), (3, 150), (5, 500), (8, 2000), (12, 30000))
MOST_PASSES = 40
LOOK_SECONDS, END_SECONDS = 0.1, 60.0
UNDER_WAY = ("setup", "active", "pre-switchover", "device", "wait-unplug", "cancelling")
STILL = ("paused", "postmigrate", "finish-migrate")


def send(monitor: Monitor, events: "SimpleQueue[Event]", files: Sequence[Path], still: Callable[[], None]) -> float:
    """Send all memory and state to the receiver, and let the guest run on; how long it stood still, in seconds.

    `files`: what its disks are written to. `still` is called while the guest stands still. Raises HostError, and what
    `still` raises; the guest runs on then, too.
    """
    capabilities = [{"capability": name, "state": state} for name, state in CAPABILITIES.items()]
    monitor.execute("migrate-set-capabilities", {"capabilities": capabilities})
    monitor.execute("migrate-set-parameters", {"max-bandwidth": BANDWIDTH, "downtime-limit": PATIENCE[0][1]})
    times: dict[str, float] = {}
    try:
        monitor.execute("migrate", {"uri": f"fd:{CHANNEL}"})
        with written_out(files):
            _approach(monitor, events, times)
        still()
        monitor.execute("migrate-continue", {"state": "pre-switchover"})
        _until("completed", monitor, events, times)
        _cont(monitor)
        _until("RESUME", monitor, events, times)
    except BaseException:
        go_on(monitor)
        raise
    return times["RESUME"] - times["STOP"]


def go_on(monitor: Monitor) -> None:
    """Let a guest run on, wherever the sending of its memory ended. Raises HostError."""
    if _status(monitor) in UNDER_WAY:
        monitor.execute("migrate_cancel")
    deadline = time.monotonic() + END_SECONDS
    while _status(monitor) in UNDER_WAY:
        if time.monotonic() > deadline:
            raise HostError("QEMU does not stop sending the guest's memory")
        time.sleep(0.01)
    if monitor.status() in STILL:
        _cont(monitor)


def _cont(monitor: Monitor) -> None:
    """QEMU refuses for a moment after it has told that all is sent. Raises HostError."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        try:
            monitor.execute("cont")
            return
        except HostError as error:
            if "not finalized" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.001)


@contextmanager
def written_out(files: Sequence[Path]) -> Iterator[None]:
    """Keep the host's cache of these files written out, so that QEMU has little to wait for when it flushes them."""
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            write_out(files)
            done.wait(LOOK_SECONDS)

    thread = threading.Thread(target=work, name="skerry-written-out", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()  # not joined: the guest may stand still by now


def write_out(files: Sequence[Path]) -> None:
    """Write the host's cache of these files out."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)


def _approach(monitor: Monitor, events: "SimpleQueue[Event]", times: dict[str, float]) -> None:
    """Until the guest stands still."""
    allowed = PATIENCE[0][1]
    while not _came("pre-switchover", events, times, LOOK_SECONDS):
        info = _info(monitor)
        _refuse_end(info)
        passes = int(info.get("ram", {}).get("dirty-sync-count", 0))
        if passes > MOST_PASSES:
            raise HostError(f"the guest changes its memory faster than it can be read; given up after {passes} passes")
        wanted = max((limit for after, limit in PATIENCE if passes >= after), default=allowed)
        if wanted != allowed:
            allowed = wanted
            monitor.execute("migrate-set-parameters", {"downtime-limit": allowed})


def _until(name: str, monitor: Monitor, events: "SimpleQueue[Event]", times: dict[str, float]) -> None:
    deadline = time.monotonic() + END_SECONDS
    while not _came(name, events, times, LOOK_SECONDS):
        _refuse_end(_info(monitor))
        if time.monotonic() > deadline:
            raise HostError(f"the guest's memory was not sent within {END_SECONDS:g} s")


def _came(name: str, events: "SimpleQueue[Event]", times: dict[str, float], seconds: float) -> bool:
    """Whether an event of that name, or a migration's status, comes in time. `times`: QEMU's clock at each."""
    try:
        event = events.get(timeout=seconds)
    except Empty:
        return False
    kind = event["event"]
    found = str(event["data"]["status"]) if kind == "MIGRATION" else str(kind)
    times[found] = event["timestamp"]["seconds"] + event["timestamp"]["microseconds"] / 1e6
    return found == name


def _refuse_end(info: dict[str, Any]) -> None:
    if info.get("status") in ("failed", "cancelled"):
        raise HostError(f"the guest's memory could not be sent: {info.get('error-desc', info['status'])}")


def _status(monitor: Monitor) -> str:
    return str(_info(monitor).get("status", ""))


def _info(monitor: Monitor) -> dict[str, Any]:
    answer = monitor.execute("query-migrate")
    return answer if isinstance(answer, dict) else {}
