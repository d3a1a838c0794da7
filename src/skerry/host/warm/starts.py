"""Which VMs start warm, and which templates are wanted.

A VM starts from a template at its very first start, if it has one NIC, one disk fresh from an image, an osProfile, and
there is a template of the same image and size. Everything else, and everything that goes wrong, starts cold.
"""

import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog
from msgspec.structs import replace

from skerry.host.compute.driver import DiskFile
from skerry.host.compute.qemu.argv import Memory
from skerry.host.compute.qemu.driver import QemuCompute
from skerry.host.errors import HostError
from skerry.host.network.routed import RoutedNetwork
from skerry.host.storage.headers import read_qcow2
from skerry.host.storage.qcow2 import Qcow2Storage
from skerry.host.warm.clone import Clone
from skerry.host.warm.identity import SEED_BYTES, Place, parameters
from skerry.host.warm.pool import Pool
from skerry.host.warm.setting import setting
from skerry.host.warm.standby import Awakening, Standby
from skerry.host.warm.templates import Key, Template, Templates
from skerry.host.warm.workshop import Workshop
from skerry.hostspec import StandbyObserved, TemplateSpec, VmSpec, VnetSpec, WarmObserved

log = structlog.get_logger()


class TemplateStarts:
    """WarmStarts on QEMU; one per host. `standby`: how many machines stand by for each template in use."""

    def __init__(
        self,
        templates: Templates,
        compute: QemuCompute,
        network: RoutedNetwork,
        storage: Qcow2Storage,
        standby: int,
    ) -> None:
        self._templates, self._compute, self._network, self._storage = templates, compute, network, storage
        self._setting = setting(compute.accelerator, compute.machine_type, compute.setting.binary)
        templates.keep_only(self._setting)
        self._pool = Pool(templates, compute, network, storage, standby)
        self._workshop = Workshop(templates, compute, network, storage, self._setting, pool=self._pool)
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def start(self, vm: VmSpec, vnets: Sequence[VnetSpec], taps: Sequence[int]) -> bool:
        """See the Protocol."""
        self._workshop.give_way(vm.id)
        self._pool.hold()
        standby = self._pool.take(vm.id)
        try:
            return self._is_new(vm) and self._started(vm, Place.of(vnets, vm.ports[0]), taps, standby)
        finally:
            if standby is not None:
                standby.end()

    def _started(self, vm: VmSpec, place: Place | None, taps: Sequence[int], standby: Standby | None) -> bool:
        """A new VM, from the machine that stood by for it, or a template; False if it has to start cold."""
        disk, template = vm.disks[0].disk, self._template(vm)
        try:
            if template is not None and place is not None:
                self._start(vm, place, taps, template, standby)
                self._pool.use(template)
                self._workshop.started(vm.id)
                return True
        except (HostError, OSError) as error:
            log.warning("a VM could not start warm; it starts cold", vm=vm.id, error=str(error))
            if template is not None:
                self._doubt(template)
        self._storage.rebase(disk, None)
        return False

    def learn(self, vm: VmSpec) -> None:
        """See the Protocol."""
        with self._lock:
            if vm.id in self._known:
                return
            self._known.add(vm.id)
        self._pool.hold()
        self._workshop.started(vm.id)
        # A disk that is lost is the report's to tell, which this must not stop.
        with suppress(HostError, OSError):
            file = self._storage.file(vm.disks[0].disk) if _fits(vm) else None
            if file is not None and file.backing:
                self._workshop.want(self._key(vm, file), _size(file))

    def order(self, templates: Sequence[TemplateSpec]) -> None:
        """See the Protocol."""
        self._workshop.order(templates)

    def observe(self) -> WarmObserved:
        """See the Protocol."""
        return self._workshop.observe()

    def standbys(self) -> Sequence[StandbyObserved]:
        """See the Protocol."""
        return self._pool.observe()

    def on_change(self, callback: Callable[[], None]) -> None:
        """See the Protocol."""
        self._workshop.changed = callback

    def close(self) -> None:
        """See the Protocol. One that is being made is given up."""
        self._workshop.close()
        self._pool.close()
        self._templates.close()

    def _doubt(self, template: Template) -> None:
        """A VM could not continue from it. If its files were damaged it is gone, and made anew once the VM is ready."""
        if self._templates.find(template.key) == template:
            self._workshop.check(template)

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

    def _start(
        self, vm: VmSpec, place: Place, taps: Sequence[int], template: Template, standby: Standby | None
    ) -> None:
        assert vm.provisioning is not None
        seed = secrets.token_bytes(SEED_BYTES)
        script = parameters(vm.id, vm.provisioning, place, template_mac=template.mac, seed=seed)
        size = _size(self._storage.file(vm.disks[0].disk))
        if standby is not None and standby.fits(vm, template, size):
            phases = self._awaken(vm, taps, standby, script)
        else:
            phases = self._clone(vm, taps, template, script, size)
        log.info("VM started warm", vm=vm.id, template=template.id, **phases)

    def _awaken(self, vm: VmSpec, taps: Sequence[int], standby: Standby, script: bytes) -> Mapping[str, float]:
        disk = vm.disks[0].disk
        give_disk, join = partial(self._storage.give, disk=disk), partial(self._network.adopt, vm.ports[0])
        origin = Awakening(standby, _as_clone(vm), script, give_disk, join)
        self._compute.start_from(vm, [self._storage.file(disk)], taps, origin, None)
        return origin.phases

    def _clone(
        self, vm: VmSpec, taps: Sequence[int], template: Template, script: bytes, size: int
    ) -> Mapping[str, float]:
        memory, state = self._templates.open(template)
        try:
            disk = vm.disks[0].disk
            self._storage.rebase(disk, self._templates.disk(template))
            origin = Clone(Memory(memory, shared=False), state, script, size if size > template.disk_bytes else None)
            variables = self._templates.variables(template) if vm.firmware == "uefi" else None
            self._compute.start_from(_as_clone(vm), [self._storage.file(disk)], taps, origin, variables)
            return origin.phases
        finally:
            os.close(memory)
            os.close(state)


def _size(file: DiskFile) -> int:
    return read_qcow2(Path(file.path)).virtual_size


def _as_clone(vm: VmSpec) -> VmSpec:
    """It needs the provisioning CD for custom data only; to look at one takes its guest time."""
    provisioning = vm.provisioning
    return vm if provisioning and provisioning.custom_data else replace(vm, provisioning=None)


def _fits(vm: VmSpec) -> bool:
    return vm.warm and vm.provisioning is not None and len(vm.ports) == len(vm.disks) == 1
