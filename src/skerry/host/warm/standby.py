"""A machine that stands by: a clone that was started, has rehearsed a first login, and stands still until it is a VM.

What QEMU fixes when it starts, the vmId in the firmware's tables and the MAC address, it has already: it can only
become the VM with that vmId (see docs/decisions/0023).
"""

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from skerry.host.compute.qemu import process
from skerry.host.compute.qemu.argv import Memory
from skerry.host.compute.qemu.launch import Launched, cd
from skerry.host.compute.qemu.qmp import Monitor
from skerry.host.errors import HostError
from skerry.host.warm.clone import AGENT_SECONDS, IDENTITY_SECONDS, connect
from skerry.host.warm.guest_agent import GuestAgent
from skerry.host.warm.templates import Template
from skerry.hostspec import VmSpec, mac_for


@dataclass(frozen=True)
class Standby:
    """`folder` has its sockets, log and firmware variables; `disk` is its disk's file, `tap` our handle of its TAP.

    `agent`: its guest agent, which sees us since the template was saved.
    """

    vm: str
    template: Template
    folder: Path
    disk: Path
    tap: int
    launched: Launched
    agent: GuestAgent

    def fits(self, vm: VmSpec, template: Template, disk_bytes: int) -> bool:
        """Whether it can become the VM, which could start from `template`."""
        here = (self.vm, self.template, (mac_for(self.vm),), self.template.disk_bytes)
        return here == (vm.id, template, vm.macs, disk_bytes)

    def lives(self) -> bool:
        """Whether its QEMU runs."""
        return not self.launched.reap()

    def end(self) -> None:
        """End its QEMU and remove what is left. Nothing happens to a VM that it became."""
        if self.folder.exists():
            found = process.look_up(self.launched.pid)
            if found is not None and process.is_qemu_of(found, self.vm):
                process.end(found)
            self.launched.reap(wait=True)
            self.launched.let_go()
            self.disk.unlink(missing_ok=True)
            shutil.rmtree(self.folder, ignore_errors=True)
        self.agent.close()
        with suppress(OSError):
            os.close(self.tap)


@dataclass
class Awakening:
    """An Origin: a machine that stood by. `phases`: as Clone's.

    `give_disk` makes its file the VM's disk; `join` puts its TAP into the VM's network.
    """

    standby: Standby
    vm: VmSpec
    identity: bytes
    give_disk: Callable[[Path], None]
    join: Callable[[int], None]
    phases: dict[str, float] = field(default_factory=dict)

    def launch(self, start: Callable[[Memory], Launched], folder: Path) -> Launched:  # noqa: ARG002
        """See Origin."""
        standby = self.standby
        try:
            self.give_disk(standby.disk)
            for path in standby.folder.iterdir():
                path.rename(folder / path.name)
            # From here on it is the VM's.
            standby.folder.rmdir()
        except OSError as error:
            raise HostError(f"a machine that stood by can't be used: {error}") from error
        return standby.launched

    def wake(self, monitor: Monitor, agent: Path) -> None:
        """See Origin."""
        began = time.monotonic()
        if (found := process.look_up(self.standby.launched.pid)) is not None:
            process.renice(found, 0)
        if self.vm.provisioning is not None:
            self._insert_cd(monitor, agent.parent)
        monitor.execute("cont")
        with ThreadPoolExecutor(1) as beside:
            connected = beside.submit(self._connect, monitor)
            self.standby.agent.wait(AGENT_SECONDS)
            self.phases["agent"] = time.monotonic() - began
            self.standby.agent.tell(self.identity, IDENTITY_SECONDS)
            connected.result()
        self.phases["identity"] = time.monotonic() - began
        self.standby.agent.close()

    def _connect(self, monitor: Monitor) -> None:
        self.join(self.standby.tap)
        connect(monitor)

    def _insert_cd(self, monitor: Monitor, folder: Path) -> None:
        """Where a QEMU that isn't started yet would have it from the beginning."""
        with ExitStack() as opened:
            descriptor = cd(opened, folder, self.vm)
            assert descriptor is not None
            file = f"/dev/fdset/{monitor.add(descriptor)}"
        node = {"driver": "file", "node-name": "cd", "filename": file, "read-only": True, "auto-read-only": False}
        monitor.execute("blockdev-add", node)
        monitor.execute("blockdev-open-tray", {"id": "cd", "force": True})
        monitor.execute("blockdev-insert-medium", {"id": "cd", "node-name": "cd"})
        monitor.execute("blockdev-close-tray", {"id": "cd"})
