"""Machines that stand by, a few for each template in use, so that a new VM needs no more than its identity.

Their names are the vmIds of VMs that aren't there yet: the control plane is told them and gives a new VM one of them.
None outlives Skerry.
"""

import os
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from uuid import uuid4

import structlog

from skerry.host.compute.driver import DiskFile
from skerry.host.compute.qemu import process
from skerry.host.compute.qemu.argv import Memory
from skerry.host.compute.qemu.driver import QemuCompute
from skerry.host.compute.qemu.firmware import VARIABLES
from skerry.host.compute.qemu.launch import AGENT_SOCKET, QMP_SOCKET, launch
from skerry.host.compute.qemu.qmp import Monitor
from skerry.host.errors import HostError
from skerry.host.network.routed import RoutedNetwork
from skerry.host.storage.qcow2 import Qcow2Storage
from skerry.host.warm.clone import restore
from skerry.host.warm.guest_agent import GuestAgent
from skerry.host.warm.identity import rehearsal
from skerry.host.warm.limits import SPARE_BYTES, available_memory
from skerry.host.warm.standby import Standby
from skerry.host.warm.templates import Template, Templates, nobody
from skerry.hostspec import StandbyObserved, mac_for, template_id

log = structlog.get_logger()

FOLDER = "standby"
CONNECT_SECONDS, REHEARSE_SECONDS = 30.0, 300.0
IN_USE_SECONDS = 3600.0  # for which a template counts as used
QUIET_SECONDS = 20.0  # after a VM's start: its user's first login comes first
NICENESS = 19


class Pool:
    """At most `most` for each template; safe to use from several threads, but for `fill`."""

    def __init__(
        self, templates: Templates, compute: QemuCompute, network: RoutedNetwork, storage: Qcow2Storage, most: int
    ) -> None:
        self._templates, self._compute, self._network, self._storage = templates, compute, network, storage
        self._most = most
        self._folder = templates.folder.with_name(FOLDER)
        self._lock = threading.Lock()
        self._ready: dict[str, Standby] = {}
        self._used: dict[str, float] = {}  # template → when
        self._quiet = 0.0
        self._closed = False
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def use(self, template: Template) -> None:
        """It is in use from now on: machines of it are to stand by."""
        with self._lock:
            if self._most:
                self._used[template.id] = time.monotonic()

    def hold(self) -> None:
        """Start none for a while: a user's VM has started."""
        self._quiet = time.monotonic() + QUIET_SECONDS

    def take(self, vm: str) -> Standby | None:
        """The machine that waits to become this VM, the caller's from now on."""
        with self._lock:
            return self._ready.pop(vm, None)

    def wanted(self) -> Template | None:
        """A template that should have more machines, if there is memory for one and it isn't held."""
        if time.monotonic() < self._quiet:
            return None
        with self._lock:
            counts = [standby.template.id for standby in self._ready.values()]
            used = [] if self._closed else [id_ for id_ in self._used if counts.count(id_) < self._most]
        for template in self._templates.list() if used else ():
            if template.id in used and available_memory() > template.key.memory_bytes + SPARE_BYTES:
                return template
        return None

    def fill(self, template: Template) -> None:
        """Start one more of a template; takes a few logins' time. After a failure it has to be used anew first."""
        try:
            standby = self._started(template)
        except (HostError, OSError) as error:
            log.warning("no machine stands by", template=template.id, error=str(error))
            with self._lock:
                self._used.pop(template.id, None)
            return
        with self._lock:
            if not self._closed:
                self._ready[standby.vm] = standby
                return
        standby.end()

    def tend(self) -> bool:
        """Let go of those that died, whose template isn't used any more, or that take memory which is short.

        Whether any went.
        """
        if not (self._ready or self._used):
            return False
        short = available_memory() < SPARE_BYTES
        since = time.monotonic() - IN_USE_SECONDS
        templates = {template.id for template in self._templates.list()}
        with self._lock:
            self._used = {id_: at for id_, at in self._used.items() if id_ in templates and at > since}
            gone = [
                one for one in self._ready.values() if short or one.template.id not in self._used or not one.lives()
            ]
            for one in gone:
                del self._ready[one.vm]
        for one in gone:
            log.info("a machine stands by no longer", vm=one.vm, memory_short=short)
            one.end()
        return bool(gone)

    def observe(self) -> Sequence[StandbyObserved]:
        """Those that are ready."""
        with self._lock:
            found = [(one.vm, one.template.key) for one in self._ready.values()]
        return [
            StandbyObserved(vm, template_id(key.image, key.vcpus, key.memory_bytes, key.firmware)) for vm, key in found
        ]

    def close(self) -> None:
        """End all of them, and what is being started."""
        with self._lock:
            self._closed = True
            ready = list(self._ready.values())
            self._ready.clear()
        for standby in ready:
            standby.end()
        for folder in self._folder.iterdir():
            _end(folder.name)

    def _started(self, template: Template) -> Standby:
        memory, state = self._templates.open(template)
        try:
            standby = self._launched(template, memory)
            try:
                self._rehearse(standby, state)
            except BaseException:
                standby.end()
                raise
            return standby
        finally:
            os.close(memory)
            os.close(state)

    def _launched(self, template: Template, memory: int) -> Standby:
        """One whose QEMU waits for the template's state."""
        key, identifier = template.key, str(uuid4())
        vm = nobody(identifier, key, mac_for(identifier))
        folder = self._folder / vm.id
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            if key.firmware == "uefi":
                shutil.copyfile(self._templates.variables(template), folder / VARIABLES)
            disk = self._storage.aside(vm.id, self._templates.disk(template), template.disk_bytes)
            undo.callback(disk.unlink, missing_ok=True)
            tap = self._network.idle_tap()
            undo.callback(os.close, tap)
            below = self._templates.below(template)
            file = DiskFile(str(disk), "qcow2", backing=tuple((str(path), "qcow2") for path in below))
            given = (self._compute.setting, self._compute.machine_type, folder, vm)
            launched = launch(*given, disks=[file], taps=[tap], memory=Memory(memory, shared=False))
            undo.callback(launched.let_go)
            undo.callback(_end, vm.id)
            if (found := process.look_up(launched.pid)) is not None:
                process.renice(found, NICENESS)
            standby = Standby(vm.id, template, folder, disk, tap, launched, GuestAgent(folder / AGENT_SOCKET))
            undo.pop_all()
        return standby

    def _rehearse(self, standby: Standby, state: int) -> None:
        """What a first login needs is loaded and, by an emulator, translated when it comes."""
        monitor = Monitor(self._compute.loop, lambda _: None, lambda: None)
        monitor.connect(standby.folder / QMP_SOCKET, CONNECT_SECONDS)
        try:
            restore(monitor, state)
            monitor.execute("cont")
            standby.agent.wait(REHEARSE_SECONDS)
            standby.agent.run("/bin/sh", rehearsal(), REHEARSE_SECONDS)
            monitor.execute("stop")
        finally:
            with suppress(HostError):
                monitor.close()


def sweep(state: Path) -> None:
    """End and remove what a killed Skerry left: it is unknown how far they had come."""
    for folder in (state / FOLDER).glob("*"):
        _end(folder.name)
        shutil.rmtree(folder, ignore_errors=True)


def _end(vm: str) -> None:
    if (found := process.find_qemu(vm)) is not None:
        process.end(found)
