"""Checkpoints of VMs on QEMU, and the VMs that continue from them."""

import dataclasses
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from uuid import uuid4

import structlog
from msgspec.structs import replace

from skerry.host.checkpoints import overlays, scripts
from skerry.host.checkpoints.driver import NOT_RUNNING
from skerry.host.checkpoints.flatten import Flattener
from skerry.host.checkpoints.origin import Continued
from skerry.host.checkpoints.overlays import Overlays
from skerry.host.checkpoints.receiver import Receiver, receiving
from skerry.host.checkpoints.sending import go_on, send, write_out
from skerry.host.checkpoints.store import RAM, STATE, Checkpoint, CheckpointStore, Kept, Making
from skerry.host.compute.driver import DiskFile
from skerry.host.compute.qemu import process
from skerry.host.compute.qemu.argv import Memory
from skerry.host.compute.qemu.driver import QemuCompute
from skerry.host.compute.qemu.firmware import VARIABLES
from skerry.host.compute.qemu.machine_types import version
from skerry.host.compute.qemu.qmp import Event, Monitor
from skerry.host.compute.qemu.record import Record
from skerry.host.errors import HostError
from skerry.host.files import write_atomically
from skerry.host.network.routed import RoutedNetwork
from skerry.host.storage.headers import read_qcow2
from skerry.host.storage.qcow2 import Qcow2Storage
from skerry.host.warm.memory import crc
from skerry.hostspec import CheckpointedDisk, CheckpointObserved, CheckpointSpec, VmSpec, VnetSpec

log = structlog.get_logger()

GONE_SECONDS = 10.0
PATIENCE, SHORT_PATIENCE = 120.0, 5.0
"""Seconds for a guest's agent to answer; for one that didn't before, which may just have been booting."""


class QemuCheckpoints:
    """The CheckpointDriver of one state folder. Creating it undoes what a killed Skerry has left half made."""

    def __init__(self, state: Path, compute: QemuCompute, network: RoutedNetwork, storage: Qcow2Storage) -> None:
        self._compute, self._network, self._storage = compute, network, storage
        self._store, self._frozen = CheckpointStore(state), storage.frozen
        self._setting = f"{compute.accelerator} {version()}"
        for making in self._store.unfinished():
            self._try_to_give_up(making)
        self._frozen.sweep()
        self._flattener = Flattener(state, compute, self._frozen)

    def checkpoints(self) -> Sequence[CheckpointObserved]:
        return [checkpoint.observed() for checkpoint in self._store.list()]

    def close(self) -> None:
        """Let go of memory that no guest runs on; what is being made is given up at the next start."""
        for making in self._store.unfinished():
            _end_receiver(making)
        self._flattener.close()
        self._store.close()

    # --- making ------------------------------------------------------------------------------------------------

    def make(self, checkpoint: CheckpointSpec, vm: VmSpec | None) -> CheckpointObserved:
        for known in self._store.list():
            if known.id == checkpoint.id:
                return known.observed()
        for making in self._store.unfinished():
            if making.vm == checkpoint.vm or making.id == checkpoint.id:
                self._give_up(making)
        pid = self._pid(checkpoint.vm)
        if checkpoint.memory and not pid:
            raise HostError(NOT_RUNNING)
        if pid and vm is None:
            raise HostError("the VM is being removed from this host")
        making = Making(checkpoint.id, checkpoint.vm, checkpoint.disks, secrets.token_hex(8), str(uuid4()), pid)
        folder = self._store.begin(making)
        try:
            if vm is not None and pid:
                made = self._make_running(checkpoint, making, vm, folder)
            else:
                made = self._make_stopped(making, folder)
            self._store.finish(made)
        except BaseException as error:
            self._try_to_give_up(making)
            if isinstance(error, OSError):
                raise HostError(f"no checkpoint could be made, the VM goes on: {error.strerror or error}") from error
            raise
        finally:
            self._flattener.unbar(making.vm)
        log.info("checkpoint made", checkpoint=made.id, vm=made.vm, pause=made.pause_seconds)
        return made.observed()

    def _pid(self, vm: str) -> int:
        """Of the QEMU that runs the VM; 0 where none does."""
        machine = self._compute.machines().get(vm)
        if machine is None or not machine.process:
            return 0
        if machine.state != "running":
            raise HostError("the VM is being stopped")
        with self._compute.watched(vm, None) as (_, record):
            return record.pid

    def _make_stopped(self, making: Making, folder: Path) -> Checkpoint:
        for disk in making.disks:
            self._frozen.prepare(making.token, disk)
        self._frozen.switch(making.token, making.disks)
        self._copy_variables(making.vm, folder)
        return Checkpoint(making.id, making.vm, making.disks, making.token, time.time(), size_bytes=_size(folder))

    def _make_running(self, wanted: CheckpointSpec, making: Making, vm: VmSpec, folder: Path) -> Checkpoint:
        events: SimpleQueue[Event] = SimpleQueue()
        with self._compute.watched(vm.id, events.put) as (monitor, record):
            _refuse_unsettled(monitor, record, vm)
            self._flattener.bar(vm.id, monitor)
            took: list[float] = []
            change_over = self._prepare(making, vm, monitor)
            files = [self._frozen.path(making.token, disk) for disk in making.disks]

            def still() -> None:
                began = time.monotonic()
                change_over.switch()
                took.append(time.monotonic() - began)
                self._copy_variables(vm.id, folder)

            pause, kept = 0.0, None
            if wanted.memory:
                vm = replace(vm, vcpus=record.vcpus, memory_bytes=record.memory_bytes)
                with self._receiver(making, vm, record, folder) as receiver:
                    receiver.hand_to(monitor)
                    pause = send(monitor, events, files, still)
                    receiver.finish(folder / STATE)
                kept = self._kept(vm, record, folder)
            else:
                write_out(files)
                still()
        made = Checkpoint(making.id, vm.id, making.disks, making.token, time.time(), pause, took[0], kept=kept)
        return replace(made, size_bytes=_size(folder))

    def _prepare(self, making: Making, vm: VmSpec, monitor: Monitor) -> Overlays:
        """All that can be done while the guest runs, up to the names of its disks' files."""
        change_over, nodes = Overlays(monitor, making.token), overlays.active(monitor)
        devices = {at.disk: overlays.device(at.lun) for at in vm.disks}
        for disk in making.disks:
            device = devices.get(disk, "")
            if device not in nodes:
                raise HostError(f"disk {disk} is not attached to the running VM")
            overlay = self._frozen.prepare(making.token, disk)
            change_over.add(device, nodes[device], overlay)
        self._frozen.switch(making.token, making.disks)
        return change_over

    @contextmanager
    def _receiver(self, making: Making, vm: VmSpec, record: Record, folder: Path) -> Iterator[Receiver]:
        workshop = folder / "receiver"
        workshop.mkdir(mode=0o700)
        taps: list[int] = []
        try:
            taps.extend(self._network.idle_tap() for _ in vm.macs)
            with receiving(
                self._compute.setting,
                self._compute.loop,
                record.machine,
                workshop,
                vm,
                identifier=making.receiver,
                sizes=self._sizes(vm),
                taps=taps,
                ram=folder / RAM,
                reporting=_reports(record),
            ) as receiver:
                yield receiver
        finally:
            for tap in taps:
                os.close(tap)
            shutil.rmtree(workshop, ignore_errors=True)

    def _kept(self, vm: VmSpec, record: Record, folder: Path) -> Kept:
        return Kept(
            machine=record.machine,
            setting=self._setting,
            vcpus=vm.vcpus,
            memory_bytes=vm.memory_bytes,
            firmware=vm.firmware,
            macs=vm.macs,
            disks=tuple(at.disk for at in vm.disks),
            luns=tuple(at.lun for at in vm.disks),
            sizes=tuple(self._sizes(vm)),
            reporting=_reports(record),
            agent=bool(record.agent_version),
            checksums=(crc(folder / RAM), crc(folder / STATE)),
        )

    def _sizes(self, vm: VmSpec) -> list[int]:
        return [read_qcow2(Path(self._storage.file(at.disk).path)).virtual_size for at in vm.disks]

    def _copy_variables(self, vm: str, folder: Path) -> None:
        source = self._compute.folder(vm) / VARIABLES
        if source.exists():
            shutil.copyfile(source, folder / VARIABLES)

    # --- undoing -----------------------------------------------------------------------------------------------

    def _try_to_give_up(self, making: Making) -> None:
        try:
            self._give_up(making)
        except (HostError, OSError) as error:
            log.warning("an unfinished checkpoint is undone later", checkpoint=making.id, error=str(error))

    def _give_up(self, making: Making) -> None:
        """Let the guest run on with the disks it has, and forget the rest. Raises HostError if its QEMU doesn't answer.

        Where its disks have changed over there is no way back, and no need: they stay overlays.
        """
        _end_receiver(making)
        if not self._ask_changed_over(making):
            self._frozen.undo(making.token, making.disks)
        self._store.remove(making.id)
        self._frozen.sweep()

    def _ask_changed_over(self, making: Making) -> bool:
        """As `_changed_over`; a QEMU that doesn't answer is mostly about to be gone."""
        deadline = time.monotonic() + GONE_SECONDS
        while True:
            try:
                return self._changed_over(making)
            except HostError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def _changed_over(self, making: Making) -> bool:
        """Whether somebody writes to the overlays, or has. A QEMU that was started later found them as the disks."""
        machine = self._compute.machines().get(making.vm)
        if machine is None or not machine.process:
            return self._frozen.written(making.token, making.disks)
        with self._compute.watched(making.vm, None) as (monitor, record):
            if record.pid != making.pid:
                return True
            go_on(monitor)
            return overlays.changed_over(monitor, making.token)

    def remove(self, checkpoint: str) -> None:
        for making in self._store.unfinished():
            if making.id == checkpoint:
                self._give_up(making)
        self._store.remove(checkpoint)
        self._frozen.sweep()
        self._flattener.hurry()

    # --- putting back, and forks -------------------------------------------------------------------------------

    def put_back(self, vm: VmSpec) -> None:
        checkpoint = self._store.find(vm.restore_from or "")
        machine = self._compute.machines().get(vm.id)
        order = f"{vm.id} {vm.restore_generation}"
        attached = [at.disk for at in vm.disks if at.disk in checkpoint.disks]
        for disk in attached:
            if self._storage.order(disk) != order or (machine is not None and machine.unborn):
                self._storage.put_back(disk, CheckpointedDisk(checkpoint.id, disk))
                self._storage.note_order(disk, order)
        variables, folder = self._store.variables(checkpoint.id), self._compute.folder(vm.id)
        if variables is not None and folder.is_dir():
            write_atomically(folder / VARIABLES, variables.read_bytes())

    def resume(self, vm: VmSpec, taps: Sequence[int]) -> bool:
        checkpoint = self._store.find(vm.restore_from or "")
        if checkpoint.kept is None:
            return False
        self._continue(replace(vm, provisioning=None), taps, checkpoint, scripts.same_again(), fork=False)
        return True

    def fork(self, vm: VmSpec, vnets: Sequence[VnetSpec], taps: Sequence[int]) -> bool:
        machine = self._compute.machines().get(vm.id)
        if machine is not None and machine.start_generation > 0:
            return False
        checkpoint = self._store.find(vm.fork_of or "")
        kept = checkpoint.kept
        if kept is None:
            return False
        _refuse_unlike(vm, kept)
        if machine is not None and machine.unborn:
            self._as_new(vm, checkpoint)
        self._refuse_used(vm, checkpoint.id, kept)
        try:
            self._continue(vm, taps, checkpoint, scripts.one_s_own(vm, vnets, kept.macs), fork=True)
        except BaseException:
            self._as_new(vm, checkpoint)
            raise
        return True

    def _continue(self, vm: VmSpec, taps: Sequence[int], checkpoint: Checkpoint, script: bytes, *, fork: bool) -> None:
        kept = checkpoint.kept
        assert kept is not None
        _refuse_unlike(vm, kept)
        if (self._compute.machine_of(vm.id), self._setting) != (kept.machine, kept.setting):
            raise HostError(f"it was made on {kept.machine}, {kept.setting}, which this VM doesn't run on")
        self._refuse_used(vm, checkpoint.id, kept)
        memory, state = self._store.open(checkpoint)
        try:
            origin = Continued(
                Memory(memory, shared=False, reporting=kept.reporting),
                state,
                script,
                PATIENCE if fork or kept.agent else SHORT_PATIENCE,
                self._grown(vm, kept),
                nics=len(vm.ports),
                fork=fork,
            )
            self._compute.start_from(vm, self._files(vm), taps, origin, self._store.variables(checkpoint.id))
        finally:
            os.close(memory)
            os.close(state)
        if origin.trouble:
            self._compute.remark(vm.id, origin.trouble)
        log.info("VM continued", vm=vm.id, checkpoint=checkpoint.id, fork=fork, **origin.phases)

    def _refuse_used(self, vm: VmSpec, checkpoint: str, kept: Kept) -> None:
        for at, disk in zip(vm.disks, kept.disks, strict=True):
            if not self._storage.is_new(at.disk, CheckpointedDisk(checkpoint, disk)):
                raise HostError(f"disk {at.disk} doesn't hold what it held then")

    def _grown(self, vm: VmSpec, kept: Kept) -> list[tuple[str, int]]:
        sizes = zip(vm.disks, self._sizes(vm), kept.sizes, strict=True)
        return [(overlays.device(at.lun), now) for at, now, then in sizes if now != then]

    def _files(self, vm: VmSpec) -> list[DiskFile]:
        return [_attached(self._storage.file(at.disk), at.lun, read_only=at.read_only) for at in vm.disks]

    def _as_new(self, vm: VmSpec, checkpoint: Checkpoint) -> None:
        assert checkpoint.kept is not None
        for at, disk in zip(vm.disks, checkpoint.kept.disks, strict=True):
            self._storage.put_back(at.disk, CheckpointedDisk(checkpoint.id, disk))


def _refuse_unsettled(monitor: Monitor, record: Record, vm: VmSpec) -> None:
    """What a later start could not find again, and what doesn't run."""
    if (status := monitor.status()) != "running":
        raise HostError(f"the VM is {status}: nothing can be kept of it now")
    if record.disks != tuple(at.disk for at in vm.disks):
        raise HostError("the VM's disks were changed: restart it first, so that it runs with those that it has")


def _refuse_unlike(vm: VmSpec, kept: Kept) -> None:
    """Only a machine like the one that was kept finds in memory what it needs."""
    now = (vm.vcpus, vm.memory_bytes, vm.firmware, len(vm.macs), tuple(at.lun for at in vm.disks))
    if now != (kept.vcpus, kept.memory_bytes, kept.firmware, len(kept.macs), kept.luns):
        raise HostError("its size, NICs or disks are others than then")


def _reports(record: Record) -> bool:
    return any("free-page-reporting=on" in word for word in record.argv)


def _attached(file: DiskFile, lun: int | None, *, read_only: bool) -> DiskFile:
    return dataclasses.replace(file, lun=lun, read_only=read_only)


def _end_receiver(making: Making) -> None:
    with suppress(HostError):
        if (found := process.find_qemu(making.receiver)) is not None:
            process.end(found)


def _size(folder: Path) -> int:
    """What a checkpoint's own files take of the disk (stat(2): blocks of 512 bytes)."""
    return sum((folder / name).stat().st_blocks * 512 for name in (RAM, STATE, VARIABLES) if (folder / name).exists())
