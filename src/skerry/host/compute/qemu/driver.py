"""The QEMU driver: one Guest per folder under STATE/vms. QEMU processes outlive it and are adopted by the next."""

import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import structlog

from skerry.host.compute.driver import DiskFile, Machine
from skerry.host.compute.qemu import process, record
from skerry.host.compute.qemu.firmware import VARIABLES
from skerry.host.compute.qemu.guest import Guest, Origin
from skerry.host.compute.qemu.keeper import Keeper
from skerry.host.compute.qemu.launch import Setting
from skerry.host.compute.qemu.machine_types import newest_q35
from skerry.host.compute.qemu.process import identity
from skerry.host.compute.qemu.qmp import Event, Loop, Monitor
from skerry.host.compute.qemu.record import Record
from skerry.host.errors import HostError
from skerry.host.files import sync, write_atomically
from skerry.hostspec import VmSpec

log = structlog.get_logger()

TEND_SECONDS = 2.0
_VM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class QemuCompute:
    """A ComputeDriver on QEMU. Creating it adopts every guest that runs under `folder` (STATE/vms)."""

    def __init__(self, folder: Path, accelerator: Literal["kvm", "tcg"], netns: str | None) -> None:
        self.accelerator: Literal["kvm", "tcg", "fake"] = accelerator
        self._folder = folder
        self.setting = Setting(accelerator, identity(), netns)
        self.loop = Loop()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[str], None]] = []
        self._guests: dict[str, Guest] = {}
        self._closing = threading.Event()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._keeper = Keeper(folder)
        self._adopt()
        self._janitor = threading.Thread(target=self._tend, name="skerry-tend", daemon=True)
        self._janitor.start()

    @property
    def machine_type(self) -> str:
        """The machine type of new VMs."""
        return newest_q35(self.setting.binary)

    def machines(self) -> Mapping[str, Machine]:
        """Every VM that was started here and not forgotten."""
        return {vm: guest.machine() for vm, guest in self._all().items()}

    def start(self, spec: VmSpec, disks: Sequence[DiskFile], taps: Sequence[int]) -> None:
        """Boot the VM; see ComputeDriver."""
        guest = self._guest(spec.id)
        self._keeper.ensure()
        guest.start(spec, disks, taps)

    def start_from(
        self, spec: VmSpec, disks: Sequence[DiskFile], taps: Sequence[int], origin: Origin, variables: Path | None
    ) -> None:
        """Let the VM continue from a template, with a copy of its firmware's `variables`. Raises as `start`."""
        self._keeper.ensure()
        guest = self._guest(spec.id)
        if variables is not None:
            write_atomically(self._folder / spec.id / VARIABLES, variables.read_bytes())
        guest.start(spec, disks, taps, origin)

    @contextmanager
    def watched(self, vm: str, listener: Callable[[Event], None] | None) -> Iterator[tuple[Monitor, Record]]:
        """See Guest.watched."""
        guest = self._known(vm)
        if guest is None:
            raise HostError("the VM doesn't run")
        with guest.watched(listener) as found:
            yield found

    def machine_of(self, vm: str) -> str:
        """The machine type that the VM has, or would get."""
        guest = self._known(vm)
        return guest.machine_type if guest else self.machine_type

    def folder(self, vm: str) -> Path:
        """Where the VM's sockets, log and firmware variables are."""
        return self._folder / vm

    def acknowledge(self, vm: str, start_generation: int) -> None:
        """Record that the VM ran already."""
        if guest := self._known(vm):
            guest.acknowledge(start_generation)

    def restored(self, vm: str, restore_generation: int) -> None:
        """Record that the VM's disks were put back."""
        self._guest(vm).restored(restore_generation)

    def remark(self, vm: str, message: str) -> None:
        """Record a message."""
        if guest := self._known(vm):
            guest.remark(message)

    def shutdown(self, vm: str) -> None:
        """Press the power button."""
        if guest := self._known(vm):
            guest.shutdown()

    def kill(self, vm: str) -> None:
        """End the process and wait for it."""
        if guest := self._known(vm):
            guest.kill()

    def forget(self, vm: str) -> None:
        """Kill, and remove every trace."""
        if guest := self._known(vm):
            guest.forget()
            with self._lock:
                self._guests.pop(vm, None)
            self._changed(vm)

    def serial_log(self, vm: str) -> bytes | None:
        """The end of the serial log."""
        guest = self._known(vm)
        return guest.serial_log() if guest else None

    def on_event(self, callback: Callable[[str], None]) -> None:
        """Call back when a VM's state may have changed."""
        self._callbacks.append(callback)

    def close(self) -> None:
        """Disconnect from all guests, which go on."""
        self._closing.set()
        self._janitor.join()
        self._callbacks.clear()
        self._keeper.close(needed=self._any_lives())
        for guest in self._all().values():
            guest.close()
        self.loop.close()

    def _adopt(self) -> None:
        for folder in sorted(self._folder.iterdir()):
            if folder.name.startswith("."):  # being removed when Skerry was killed
                shutil.rmtree(folder, ignore_errors=True)
            elif _VM_ID.fullmatch(folder.name):
                self._guests[folder.name] = self._adopted(folder)

    def _adopted(self, folder: Path) -> Guest:
        """The guest of a folder. Without a record it has never run, or it is known by its process alone."""
        kept = record.load(folder)
        if kept is None:
            machine = process.machine_of(folder.name) or newest_q35(self.setting.binary)
            kept = Record(folder.name, machine)
        guest = Guest(folder, kept, self.setting, self.loop, self._changed)
        guest.adopt()
        log.info("found a VM", vm=kept.id, state=guest.machine().state, reason=guest.machine().reason)
        return guest

    def _guest(self, vm: str) -> Guest:
        """The VM's guest, made with the newest machine type when it is new here."""
        machine = newest_q35(self.setting.binary)
        with self._lock:
            if vm not in self._guests:
                folder = self._folder / vm
                folder.mkdir(mode=0o700, exist_ok=True)
                sync(self._folder)
                self._guests[vm] = Guest(folder, Record(vm, machine), self.setting, self.loop, self._changed)
            return self._guests[vm]

    def _known(self, vm: str) -> Guest | None:
        with self._lock:
            return self._guests.get(vm)

    def _all(self) -> dict[str, Guest]:
        with self._lock:
            return dict(self._guests)

    def _changed(self, vm: str) -> None:
        for callback in list(self._callbacks):
            callback(vm)

    def _any_lives(self) -> bool:
        return any(guest.machine().process for guest in self._all().values())

    def _tend(self) -> None:
        while not self._closing.wait(TEND_SECONDS):
            self._keep_logs()
            for vm, guest in self._all().items():
                try:
                    guest.tend()
                except OSError as error:
                    log.warning("a VM could not be looked after", vm=vm, error=str(error))

    def _keep_logs(self) -> None:
        try:
            if self._any_lives():
                self._keeper.ensure()
            elif not self._all():
                self._keeper.stop()
        except (HostError, OSError) as error:
            log.warning("nothing keeps the guests' serial logs small; trying again", error=str(error))
