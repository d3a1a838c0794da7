"""A running guest's disks: what QEMU writes to, and the change to other files between two of its instructions."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from skerry.host.compute.qemu.qmp import Monitor
from skerry.host.errors import HostError

DEVICE = re.compile(r"(?:/machine/peripheral/)?(os|lun\d+)(?:/virtio-backend)?")


def device(lun: int | None) -> str:
    """The name of the device (argv.py) that a disk is attached to."""
    return "os" if lun is None else f"lun{lun}"


def node_name(device: str, token: str) -> str:
    """The name of a checkpoint's overlay in QEMU; it may have 31 characters."""
    return f"{device}-{token}"


def active(monitor: Monitor) -> Mapping[str, str]:
    """The name of QEMU's block node that each device writes to now. Raises HostError."""
    answer = monitor.execute("query-block")
    found = {}
    for entry in answer if isinstance(answer, list) else []:
        name, inserted = DEVICE.fullmatch(str(entry.get("qdev", ""))), entry.get("inserted")
        if name and inserted:
            found[name[1]] = str(inserted["node-name"])
    return found


def changed_over(monitor: Monitor, token: str) -> bool:
    """Whether devices write to the overlays of that mark; if not, those are closed. Raises HostError."""
    found = active(monitor)
    if any(node == node_name(device, token) for device, node in found.items()):
        return True
    for device in found:
        for name in (node_name(device, token), f"{node_name(device, token)}-file"):
            with suppress(HostError):  # one that was never opened
                monitor.execute("blockdev-del", {"node-name": name})
    return False


class Overlays:
    """The overlays of one checkpoint in one QEMU: each device's, made known before the guest stands still."""

    def __init__(self, monitor: Monitor, token: str) -> None:
        self._monitor, self._token = monitor, token
        self._actions: list[dict[str, Any]] = []

    def add(self, device: str, node: str, overlay: Path) -> None:
        """Open the overlay beside the node that the device writes to. Raises HostError.

        The file gets a node of its own: as a part of the other, QEMU would open it anew when it is written to no more,
        and go on to hold the lock by which others may not read it.
        """
        name = node_name(device, self._token)
        descriptor = os.open(overlay, os.O_RDWR | os.O_CLOEXEC)
        try:
            fdset = self._monitor.add(descriptor)
        finally:
            os.close(descriptor)
        place = f"/dev/fdset/{fdset}"
        file = {"driver": "file", "node-name": f"{name}-file", "filename": place, "auto-read-only": False}
        self._monitor.execute("blockdev-add", {**file, "discard": "unmap"})
        options = {"driver": "qcow2", "node-name": name, "file": f"{name}-file", "backing": None, "discard": "unmap"}
        self._monitor.execute("blockdev-add", options)
        self._actions.append({"type": "blockdev-snapshot", "data": {"node": node, "overlay": name}})

    def switch(self) -> None:
        """Let all devices write to their overlays from now on, or none. Raises HostError."""
        self._monitor.execute("transaction", {"actions": self._actions})
