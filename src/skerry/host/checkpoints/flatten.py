"""Shortening the chains that checkpoints leave: what a frozen file holds goes into the one overlay that still needs it.

QEMU copies it itself while its guest runs (block-stream), slowly, and changes the overlay's header last: cut short at
any moment, the chain is as it was. Images and templates are never copied: many disks share them.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from skerry.host.checkpoints import overlays
from skerry.host.compute.qemu.driver import QemuCompute
from skerry.host.compute.qemu.qmp import Monitor
from skerry.host.errors import HostError
from skerry.host.storage import chains
from skerry.host.storage.frozen import Frozen

log = structlog.get_logger()

LONGEST = 16  # frozen files below a disk; beyond that even those that checkpoints keep are copied
SPEED = 32 << 20  # bytes a second
LOOK_SECONDS, POLL_SECONDS, CANCEL_SECONDS = 30.0, 0.5, 30.0


def surplus(layers: Sequence[Path], used: Counter[Path], kept: Collection[str]) -> int:
    """How many of the files below a disk, from the nearest on, are to be copied into it.

    Those that no checkpoint keeps and nothing else is an overlay of; all frozen ones if they are too many.
    """
    frozen = [path for path in layers if path.parent.name == chains.FROZEN]
    if len(frozen) > LONGEST:
        return len(frozen)
    for count, path in enumerate(frozen):
        if path.name.split(".")[0] in kept or used[path] > 1:
            return count
    return len(frozen)


class Flattener:
    """One thread for all guests of a host; it works on one disk at a time."""

    def __init__(self, state: Path, compute: QemuCompute, frozen: Frozen) -> None:
        self._state, self._compute, self._frozen = state, compute, frozen
        self._lock = threading.Lock()
        self._barred: set[str] = set()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="skerry-flatten", daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Look soon: a checkpoint is gone."""
        self._wake.set()

    def bar(self, vm: str, monitor: Monitor) -> None:
        """Leave the VM's disks alone until `unbar`; what is under way there is given up. Raises HostError."""
        with self._lock:
            self._barred.add(vm)
        deadline = time.monotonic() + CANCEL_SECONDS
        while jobs := _jobs(monitor):
            for job in jobs:
                with suppress(HostError):  # it may just have ended
                    monitor.execute("block-job-cancel", {"device": job["device"], "force": True})
            if time.monotonic() > deadline:
                raise HostError("QEMU does not stop copying a disk")
            time.sleep(0.01)

    def unbar(self, vm: str) -> None:
        """Its disks may be worked on again."""
        with self._lock:
            self._barred.discard(vm)

    def close(self) -> None:
        """Begin nothing more. What QEMU has begun, it ends by itself."""
        self._closing.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            if any(self._frozen.folder.iterdir()):  # nearly every host has none
                for vm, machine in self._compute.machines().items():
                    if machine.state == "running" and not self._closing.is_set():
                        self._try(vm, machine.disks)

    def _try(self, vm: str, disks: Sequence[str]) -> None:
        try:
            found = [disk for disk in disks if self._on_frozen(disk)]
            if any(self._needless(disk) for disk in found):
                with self._compute.watched(vm, None) as (monitor, _):
                    for device, disk in _devices(monitor, found):
                        self._flatten(vm, monitor, device, disk)
        except (HostError, OSError) as error:
            log.warning("a disk's chain is left as long as it is", vm=vm, error=str(error))

    def _on_frozen(self, disk: str) -> bool:
        path = self._state / chains.DISKS / f"{disk}.qcow2"
        below = chains.backing(self._state, path) if path.exists() else None
        return below is not None and below.parent.name == chains.FROZEN

    def _needless(self, disk: str) -> int:
        used, kept = chains.overlays(self._state), self._frozen.kept()
        path = self._state / chains.DISKS / f"{disk}.qcow2"
        return surplus(chains.layers(self._state, path), used, kept) if path.exists() else 0

    def _flatten(self, vm: str, monitor: Monitor, device: str, disk: str) -> None:
        path = self._state / chains.DISKS / f"{disk}.qcow2"
        layers, count = chains.layers(self._state, path), self._needless(disk)
        node = overlays.active(monitor).get(device, "")
        below = _below(monitor, node)
        if not count or len(below) != len(layers):
            return
        order: dict[str, Any] = {"job-id": f"flatten-{device}", "device": node, "speed": SPEED}
        if count < len(layers):
            order |= {"base-node": below[count], "backing-file": chains.relative(layers[count])}
        with self._lock:
            if vm in self._barred:
                return
            monitor.execute("block-stream", order)
        if _ended(monitor, self._closing.is_set):
            for name in below[:count]:
                _drop(monitor, name)
            self._frozen.sweep()
            log.info("a disk's chain is shorter", vm=vm, disk=disk, files=count)


def _devices(monitor: Monitor, disks: Sequence[str]) -> list[tuple[str, str]]:
    """(device, disk) of a guest: devices have the disk's id, cut short, as their serial number."""
    found = []
    for device in overlays.active(monitor):
        serial = monitor.execute("qom-get", {"path": f"/machine/peripheral/{device}", "property": "serial"})
        found += [(device, disk) for disk in disks if disk[:20] == serial]
    return found


def _below(monitor: Monitor, node: str) -> list[str]:
    """The nodes below one, nearest first."""
    graph = monitor.execute("x-debug-query-block-graph")
    assert isinstance(graph, dict)
    names = {entry["id"]: entry["name"] for entry in graph["nodes"]}
    backing = {names[edge["parent"]]: names[edge["child"]] for edge in graph["edges"] if edge["name"] == "backing"}
    found: list[str] = []
    while (node := backing.get(node, "")) and node not in found:
        found.append(node)
    return found


def _ended(monitor: Monitor, closing: Callable[[], bool]) -> bool:
    """Wait for the copying; False for one that is left to QEMU."""
    while _jobs(monitor):
        if closing():
            return False
        time.sleep(POLL_SECONDS)
    return True


def _jobs(monitor: Monitor) -> list[dict[str, Any]]:
    answer = monitor.execute("query-block-jobs")
    return answer if isinstance(answer, list) else []


def _drop(monitor: Monitor, node: str) -> None:
    """Close a node that is in no chain any more, and its file, which takes room for as long as it is open."""
    files = monitor.execute("query-named-block-nodes", {"flat": True})
    places = {entry["node-name"]: str(entry["file"]) for entry in files} if isinstance(files, list) else {}
    fdset = places.get(f"{node}-file", "").rpartition("/")[2]
    with suppress(HostError):
        monitor.execute("blockdev-del", {"node-name": node})
        monitor.execute("blockdev-del", {"node-name": f"{node}-file"})
        if fdset.isdecimal():
            monitor.execute("remove-fd", {"fdset-id": int(fdset)})
