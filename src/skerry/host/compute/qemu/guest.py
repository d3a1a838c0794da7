"""One VM on QEMU: its folder, its process, its monitor, and what is known of its state.

    halted ──start──▶ running ──SHUTDOWN event───────▶ halted (asked | guest-shutdown), process paused
      ▲                  ├──GUEST_PANICKED event────▶ halted (crashed), process paused
      └──kill────────────┴──connection and process lost──▶ halted (lost; crashed after too many of these)

`record` on disk is written at every arrow. The lock keeps start, kill and forget of one VM apart; events only set
fields and never wait for it.

A QEMU that ends though nobody asked is started again, as Azure heals a VM whose host fails. After MOST_LOST times, none
of which had run for SOUND_SECONDS, it would only end again: then it stays stopped until it is ordered to start.
"""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import structlog
from msgspec.structs import replace

from skerry.host.compute.driver import DiskFile, Machine, Reason
from skerry.host.compute.qemu import process, record, serial
from skerry.host.compute.qemu.agent_channel import agent_version
from skerry.host.compute.qemu.argv import Memory
from skerry.host.compute.qemu.cgroups import Cgroups
from skerry.host.compute.qemu.launch import AGENT_SOCKET, QMP_SOCKET, Launched, Setting, launch
from skerry.host.compute.qemu.process import Process
from skerry.host.compute.qemu.qmp import Event, Loop, Monitor
from skerry.host.compute.qemu.record import Record
from skerry.host.errors import HostError, cause
from skerry.hostspec import VmSpec

log = structlog.get_logger()

START_SECONDS, RECONNECT_SECONDS = 30.0, 5.0
DIED = "the QEMU process ended unexpectedly"
AFTER_LOGIN_SECONDS = 5.0  # a clone's first login comes before questions that can wait
MOST_LOST, SOUND_SECONDS = 3, 600.0
PANICKED = "the guest's kernel panicked; the serial log shows why"


class Origin(Protocol):
    """What a clone continues from."""

    @property
    def phases(self) -> Mapping[str, float]:
        """Seconds from the start to the end of each phase of `wake`, once it is done."""

    def launch(self, start: Callable[[Memory], Launched], folder: Path) -> Launched:
        """Start a QEMU on the memory, or give the one that has it already: its files are in `folder` from then on.

        What is given is the caller's, to end as well. Raises HostError.
        """

    def wake(self, monitor: Monitor, agent: Path) -> None:
        """Restore the paused machine, let it run and make it its own by the agent's channel. Raises HostError."""


class Guest:
    """Created for a folder under STATE/vms; `adopt` finds what runs there."""

    def __init__(
        self, folder: Path, kept: Record, setting: Setting, loop: Loop, changed: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._setting = setting
        self._loop = loop
        self._changed = changed
        self._lock = threading.RLock()
        self._saving = threading.Lock()
        self._cgroups = Cgroups()
        self._record = kept
        self._process: Process | None = None
        self._launched: Launched | None = None
        self._monitor: Monitor | None = None
        self._asked = False
        self._trouble = ""
        self._unsaved = ""
        self._listener: Callable[[Event], None] | None = None

    def machine(self) -> Machine:
        """What is known now; nothing is asked of anyone."""
        kept, alive = self._record, self._process is not None
        return Machine(
            id=kept.id,
            process=alive,
            state="running" if alive and not kept.reason else "halted",
            reason=kept.reason,
            start_generation=kept.start_generation,
            restart_generation=kept.restart_generation,
            vcpus=kept.vcpus,
            memory_bytes=kept.memory_bytes,
            agent_version=kept.agent_version,
            message=self._trouble or kept.message,
            disks=kept.disks,
            phases=kept.phases,
            unborn=kept.unborn,
            restore_generation=kept.restore_generation,
        )

    @property
    def machine_type(self) -> str:
        """Pinned for the VM's life."""
        return self._record.machine

    # --- orders ------------------------------------------------------------------------------------------------

    def start(self, vm: VmSpec, disks: Sequence[DiskFile], taps: Sequence[int], origin: Origin | None = None) -> None:
        """Start it unless its process lives, from `origin` if given. Nothing is left running when this raises."""
        with self._lock:
            if self._process is not None:
                return
            self._begin(vm, warm=origin is not None)
            given = (self._setting, self._record.machine, self._folder, vm)

            def start(memory: Memory | None = None) -> Launched:
                return launch(*given, disks=disks, taps=taps, memory=memory)

            launched = origin.launch(start, self._folder) if origin else start()
            try:
                self._settle(vm, launched, origin)
            except BaseException:
                self._abort(launched)
                raise
            self._launched = launched
        self._changed(vm.id)

    def acknowledge(self, start_generation: int) -> None:
        """Note an order that was met already."""
        self._note(start_generation=start_generation)

    def restored(self, restore_generation: int) -> None:
        """Note that its disks were put back; it stays stopped."""
        self._note(restore_generation=restore_generation, unborn=False)

    def remark(self, message: str) -> None:
        """Note a message until the next start."""
        self._note(message=message)

    def shutdown(self) -> None:
        """Press the power button."""
        self._asked = True
        if self._monitor is not None:
            self._monitor.execute("system_powerdown")

    def kill(self) -> None:
        """End the process and wait. The reason it halted for, if it had, stays."""
        with self._lock:
            self._note(reason=self._record.reason or "asked")
            if self._process is not None:
                process.end(self._process)
            self._process = None
            self._let_go()
            self._note(pid=0)
            self._cgroups.remove(self._record.id)
        self._changed(self._record.id)

    def forget(self) -> None:
        """Kill and remove the folder; the rename keeps a killed Skerry from leaving a part of it."""
        with self._lock:
            self.kill()
            trash = self._folder.with_name(f".{self._folder.name}")
            with suppress(FileNotFoundError):
                self._folder.rename(trash)
            with suppress(FileNotFoundError):
                shutil.rmtree(trash)

    @contextmanager
    def watched(self, listener: Callable[[Event], None] | None) -> Iterator[tuple[Monitor, Record]]:
        """The guest's monitor and record; its events also go to `listener`, if there is one, in the QMP thread.

        Raises HostError when its QEMU doesn't run, or doesn't answer.
        """
        monitor = self._monitor
        if self._process is None or monitor is None:
            raise HostError(self._trouble or "the VM doesn't run")
        if listener is None:
            yield monitor, self._record
            return
        self._listener = listener
        try:
            yield monitor, self._record
        finally:
            self._listener = None

    def close(self) -> None:
        """Disconnect from a guest that goes on."""
        with self._lock:
            if self._monitor is not None:
                self._monitor.close()
            if self._launched is not None:
                self._launched.let_go()
            self._monitor = self._launched = None

    def tend(self) -> None:
        """What is due now and then: look after a QEMU whose monitor is lost."""
        if self._unsaved:
            self._note()
        if self._process is not None and self._monitor is None:
            self._after_close()

    def serial_log(self) -> bytes | None:
        """The end of the serial log."""
        return serial.end_of_log(self._folder)

    # --- adoption ----------------------------------------------------------------------------------------------

    def adopt(self) -> None:
        """Find the VM's process of an earlier Skerry and connect to it; else say why there is none."""
        found = self._find()
        if found is None:
            if not self._record.reason and self._record.start_generation:
                if self._record.boot != process.boot_id():
                    self._halted("host-rebooted")
                else:
                    self._lost("while Skerry was away")
            return
        self._process = found
        if (kept := self._record).pid != found.pid or not kept.boot:
            self._note(pid=found.pid, started=found.started, boot=process.boot_id())
        if self._record.unborn:
            self.kill()
            return
        self._reconnect()

    def _find(self) -> Process | None:
        kept = self._record
        if (kept.boot and kept.boot != process.boot_id()) or (kept.pid == 0 and kept.reason):
            return None
        if kept.pid == 0:
            return process.find_qemu(kept.id)
        known = Process(kept.pid, kept.started)
        return known if process.is_qemu_of(known, kept.id) else None

    # --- starting ----------------------------------------------------------------------------------------------

    def _begin(self, vm: VmSpec, *, warm: bool) -> None:
        """Note durably that a process of the VM may run from now on. Raises HostError where that can't be written."""
        kept = self._record
        ordered = vm.start_generation > kept.start_generation or vm.restart_generation > kept.restart_generation
        again = kept.reason == "lost" and not ordered
        self._note(
            pid=0,
            boot=process.boot_id(),
            reason="",
            message=f"{kept.message}; it was started again" if again else "",
            lost=kept.lost if again else 0,
            disks=_ids(vm),
            phases={},
            unborn=warm,
        )
        if self._unsaved:
            raise HostError(f"nothing was started: {self._unsaved}")

    def _settle(self, vm: VmSpec, launched: Launched, origin: Origin | None) -> None:
        """Note the process at once, so that it is never lost; then wait for its monitor."""
        found = process.look_up(launched.pid)
        if found is None:
            raise HostError(f"QEMU ended at once: {launched.last_words()}")
        self._process = found
        self._note(pid=found.pid, started=found.started, argv=tuple(launched.argv))
        self._cgroups.limit(vm.id, found.pid, vm.memory_bytes, vm.vcpus)
        self._await_monitor(launched)
        if origin is not None:
            assert self._monitor is not None
            origin.wake(self._monitor, self._folder / AGENT_SOCKET)
            self._loop.spawn(self._ask_agent(AFTER_LOGIN_SECONDS))
        self._note(
            unborn=False,
            phases=dict(origin.phases) if origin else {},
            start_generation=vm.start_generation,
            restart_generation=vm.restart_generation,
            restore_generation=vm.restore_generation,
            vcpus=vm.vcpus,
            memory_bytes=vm.memory_bytes,
            agent_version="",
        )

    def _await_monitor(self, launched: Launched) -> None:
        """The socket listens since before QEMU ran, so a connection stands at once; its greeting is the answer."""
        self._asked = False
        self._trouble = ""
        try:
            self._connect(START_SECONDS)
        except HostError as error:
            # The pipe may be read only after the process is gone: its last words come just before.
            for _ in range(20):
                if launched.reap():
                    break
                time.sleep(0.05)
            words = launched.last_words()
            raise HostError(f"QEMU did not start: {words or error}") from error

    def _abort(self, launched: Launched) -> None:
        self._process = None
        with suppress(HostError):
            if (found := process.look_up(launched.pid)) is not None:
                process.end(found)
        launched.reap(wait=True)
        launched.let_go()
        self._let_go()
        self._note(pid=0)
        self._cgroups.remove(self._record.id)

    def _connect(self, seconds: float) -> None:
        monitor = Monitor(self._loop, self._on_event, lambda: self._on_close(monitor))
        monitor.connect(self._folder / QMP_SOCKET, seconds)
        self._monitor = monitor
        match monitor.status():
            case "shutdown":
                self._halted("guest-shutdown")
            case "guest-panicked":
                self._halted("crashed", PANICKED)
            case "internal-error":
                self._halted("crashed", "the guest's virtual CPU failed (QEMU: internal-error)")

    # --- what the guest does (called from the QMP thread) -------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        if listener := self._listener:
            listener(event)
        match event:
            case {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}}:
                self._halted("asked" if self._asked else "guest-shutdown")
            case {"event": "GUEST_PANICKED"}:
                self._halted("crashed", PANICKED)
            case {"event": "BLOCK_IO_ERROR", "data": {"action": "stop"}}:
                self._trouble = "paused: one of its disks can't be written, the host's disk may be full"
                self._changed(self._record.id)
            case {"event": "RESUME"}:
                self._trouble = ""
                self._changed(self._record.id)
            case {"event": "VSERPORT_CHANGE", "data": {"open": True}} if not self._record.unborn:
                self._loop.spawn(self._ask_agent())

    async def _ask_agent(self, after: float = 0.0) -> None:
        await asyncio.sleep(after)
        version = await agent_version(self._folder / AGENT_SOCKET)
        if version is not None and version != self._record.agent_version:
            self._note(agent_version=version)
            self._changed(self._record.id)

    def _on_close(self, closed: Monitor) -> None:
        """The connection is lost: nearly always because the process ended."""
        threading.Thread(target=self._after_close, args=(closed,), name="skerry-qemu-ended", daemon=True).start()

    def _after_close(self, closed: Monitor | None = None) -> None:
        alive = self._process
        with self._lock:
            # Ended by kill(), or another process runs by now, or another connection: a start may just have made it.
            if alive is None or self._process is not alive or self._monitor is not closed:
                return
            self._monitor = None
            if self._still_alive(alive):
                self._reconnect()
                return
            if launched := self._launched:
                launched.reap(wait=True)
            words = launched.last_words() if launched else ""
            # The reason first: a machine that is halted for none is started again.
            self._lost(": ".join(part for part in (launched.how if launched else "", words) if part))
            self._process = None
            self._let_go()
        self._changed(self._record.id)

    def _still_alive(self, alive: Process, seconds: float = 2.0) -> bool:
        """Whether the process is there for good; one that closes its connection mostly is about to end."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._launched is not None:
                self._launched.reap()
            if process.look_up(alive.pid) != alive:
                return False
            time.sleep(0.02)
        return True

    def _reconnect(self) -> None:
        try:
            self._connect(RECONNECT_SECONDS)
            self._trouble = ""
        except HostError as error:
            log.warning("a guest's QEMU doesn't answer", vm=self._record.id, error=str(error))
            self._trouble = f"its QEMU runs but doesn't answer: {error}"

    # --- what is known ------------------------------------------------------------------------------------------

    def _halted(self, reason: Reason, message: str = "") -> None:
        """The first reason counts: a guest that halted and is then killed has halted by itself."""
        if not self._record.reason:
            self._note(reason=reason, message=message)
            log.info("guest halted", vm=self._record.id, reason=reason, message=message)
        self._changed(self._record.id)

    def _lost(self, words: str) -> None:
        """The process ended though nobody asked; `words` say how."""
        times = 1 if process.age(self._record.started) > SOUND_SECONDS else self._record.lost + 1
        message = f"{DIED} ({words})" if words else DIED
        if self._record.reason:  # it was halted before, and paused
            return
        if times <= MOST_LOST:
            self._note(reason="lost", message=message, lost=times)
        else:
            message = f"{message}, {times} times in a row; it stays stopped until it is started"
            self._note(reason="crashed", message=message, lost=0)
        log.warning("guest lost", vm=self._record.id, reason=self._record.reason, message=message)

    def _let_go(self) -> None:
        """Drop the connection, the child and its pipe. The process is gone."""
        if self._monitor is not None:
            with suppress(HostError):
                self._monitor.close()
        self._monitor = None
        if self._launched is not None:
            self._launched.reap(wait=True)
            self._launched.let_go()
        self._launched = None

    def _note(self, **changes: object) -> None:
        """Change the record. Where it can't be written (a full disk) it holds in memory; `tend` writes it later."""
        with self._saving:
            self._record = replace(self._record, **changes)
            try:
                if self._folder.is_dir():
                    record.save(self._folder, self._record)
                self._unsaved = ""
            except OSError as error:
                self._unsaved = f"{self._folder} can't be written: {cause(error)}"
                log.warning("a VM's record could not be written", vm=self._record.id, error=self._unsaved)


def _ids(vm: VmSpec) -> tuple[str, ...]:
    return tuple(attachment.disk for attachment in vm.disks)
