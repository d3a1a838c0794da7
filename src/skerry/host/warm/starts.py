"""Which VMs start warm, and when their templates are made.

A VM starts from a template at its very first start, if it has one NIC, one disk fresh from an image, an osProfile, and
there is a template of the same image and size. Everything else, and everything that goes wrong, starts cold.
"""

import os
import secrets
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import structlog

from skerry.host.compute.driver import DiskFile
from skerry.host.compute.qemu.argv import Memory
from skerry.host.compute.qemu.driver import QemuCompute
from skerry.host.errors import HostError
from skerry.host.network.routed import RoutedNetwork
from skerry.host.storage.headers import read_qcow2
from skerry.host.storage.qcow2 import Qcow2Storage
from skerry.host.warm.clone import Clone
from skerry.host.warm.identity import SEED_BYTES, Place, personalise
from skerry.host.warm.maker import Maker
from skerry.host.warm.setting import setting
from skerry.host.warm.templates import Key, Template, Templates
from skerry.hostspec import VmSpec, VnetSpec

log = structlog.get_logger()

SPARE_BYTES = 512 << 20  # of memory that must stay free beside a template in the making


class TemplateStarts:
    """WarmStarts on QEMU; one per host."""

    def __init__(
        self, templates: Templates, compute: QemuCompute, network: RoutedNetwork, storage: Qcow2Storage
    ) -> None:
        self._templates, self._compute, self._network, self._storage = templates, compute, network, storage
        self._setting = setting(compute.accelerator, compute.machine_type, compute.setting.binary)
        self._wanted: SimpleQueue[tuple[Key, DiskFile] | None] = SimpleQueue()
        self._tried: set[Key] = set()
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._maker = threading.Thread(target=self._make_all, name="skerry-templates", daemon=True)
        self._maker.start()

    def start(self, vm: VmSpec, vnets: Sequence[VnetSpec], taps: Sequence[int]) -> bool:
        """See the Protocol."""
        if not self._is_new(vm):
            return False
        disk = vm.disks[0].disk
        template, place = self._template(vm), Place.of(vnets, vm.ports[0])
        try:
            if template is not None and place is not None:
                self._start(vm, place, taps, template)
                return True
        except (HostError, OSError) as error:
            log.warning("a VM could not start warm; it starts cold", vm=vm.id, error=str(error))
        self._storage.rebase(disk, None)
        return False

    def learn(self, vm: VmSpec) -> None:
        """See the Protocol."""
        with self._lock:
            if vm.id in self._known:
                return
            self._known.add(vm.id)
        # A disk that is lost is the report's to tell, which this must not stop.
        with suppress(HostError, OSError):
            file = self._storage.file(vm.disks[0].disk) if _fits(vm) else None
            if file is not None and file.backing:
                self._want(self._key(vm, file), file)

    def _want(self, key: Key, file: DiskFile) -> None:
        with self._lock:
            if key in self._tried:
                return
            self._tried.add(key)
        if self._templates.find(key) is None:
            self._wanted.put((key, file))

    def close(self) -> None:
        """See the Protocol. One that is being made is given up."""
        self._closing.set()
        self._wanted.put(None)
        while self._maker.is_alive():
            self._templates.end_unfinished()
            self._maker.join(0.5)
        self._templates.close()

    def _is_new(self, vm: VmSpec) -> bool:
        """Whether nobody has used the VM yet: its disk was never written to, or only by a warm start cut short."""
        machine = self._compute.machines().get(vm.id)
        started = machine is not None and machine.start_generation > 0
        unborn = machine is not None and machine.unborn
        return _fits(vm) and not started and (unborn or not self._storage.holds_data(vm.disks[0].disk))

    def _template(self, vm: VmSpec) -> Template | None:
        file = self._storage.file(vm.disks[0].disk)
        template = self._templates.find(self._key(vm, file)) if file.backing else None
        if template is None or _size(file) < template.disk_bytes:
            return None
        return template

    def _key(self, vm: VmSpec, file: DiskFile) -> Key:
        image = Path(file.backing[-1][0]).parent.name
        return Key(image, vm.vcpus, vm.memory_bytes, vm.firmware, self._setting)

    def _start(self, vm: VmSpec, place: Place, taps: Sequence[int], template: Template) -> None:
        assert vm.provisioning is not None
        memory, state = self._templates.open(template)
        try:
            disk = vm.disks[0].disk
            self._storage.rebase(disk, self._templates.disk(template))
            size = _size(self._storage.file(disk))
            seed = secrets.token_bytes(SEED_BYTES)
            script = personalise(vm.id, vm.provisioning, place, template_mac=template.mac, seed=seed)
            origin = Clone(Memory(memory, shared=False), state, script, size if size > template.disk_bytes else None)
            variables = self._templates.variables(template) if vm.firmware == "uefi" else None
            self._compute.start_from(vm, [self._storage.file(disk)], taps, origin, variables)
            log.info("VM started warm", vm=vm.id, template=template.id, **origin.phases)
        finally:
            os.close(memory)
            os.close(state)

    # --- making templates --------------------------------------------------------------------------------------

    def _make_all(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            key, file = wanted
            if self._closing.is_set():
                continue
            try:
                self._make(key, file)
            except HostError as error:
                log.warning("no template was made; VMs like it start cold", image=key.image, error=str(error))
            except Exception:
                log.exception("no template was made; VMs like it start cold", image=key.image)

    def _make(self, key: Key, file: DiskFile) -> None:
        if _free_memory() < key.memory_bytes + SPARE_BYTES:
            log.info("no template is made: memory is short", image=key.image)
            return
        maker = Maker(self._templates, self._compute.setting, self._compute.machine_type, self._compute.loop)
        tap = self._network.idle_tap()
        try:
            size = _size(file)
            template = maker.make(key, Path(file.backing[-1][0]), size, tap)
        finally:
            os.close(tap)
        log.info("template made", template=template.id, image=key.image, vcpus=key.vcpus, memory=key.memory_bytes)


def _size(file: DiskFile) -> int:
    return read_qcow2(Path(file.path)).virtual_size


def _fits(vm: VmSpec) -> bool:
    return vm.warm and vm.provisioning is not None and len(vm.ports) == len(vm.disks) == 1


def _free_memory() -> int:
    """Bytes that can be had without swapping (proc(5): MemAvailable)."""
    lines: Mapping[str, str] = dict(
        line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line
    )
    return int(lines["MemAvailable"].split()[0]) * 1024
