"""The host agent: brings the host to its desired spec, round after round, and reports what it saw.

Two threads: one waits for specs, the other converges whenever a spec, a guest event, a finished job or a second
calls for it. What takes time (making a disk, starting or ending a QEMU) is a job of its own, so that one slow VM
delays neither the others nor a rule change. A round is: disks, networks, VMs, checkpoints, then the report.
"""

import dataclasses
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import structlog
from msgspec.structs import replace

from skerry.host import converge
from skerry.host.capacity import free_gib
from skerry.host.checkpoints.convergence import Checkpointing
from skerry.host.checkpoints.driver import CheckpointDriver
from skerry.host.compute.driver import ComputeDriver, DiskFile, Machine
from skerry.host.converge import Action, Stopping
from skerry.host.errors import HostError
from skerry.host.guests import Guests
from skerry.host.jobs import Jobs, Key
from skerry.host.login import LoginWatch
from skerry.host.network.driver import NetworkDriver
from skerry.host.storage.driver import StorageDriver
from skerry.host.warm.driver import WarmStarts
from skerry.hostspec import (
    DiskAttachment,
    DiskObserved,
    DiskSpec,
    HostCapacity,
    HostSpec,
    Observed,
    VmObserved,
    VmSpec,
)
from skerry.hostspec.client import SpecSource

log = structlog.get_logger()

# (kind, id, message)
Problem = tuple[str, str, str]

ROUND = 1.0
HEARTBEAT = 10.0
RELIST = 30.0


class Agent:
    """One host's agent, and the control plane's HostGateway to it. `guests` is what the network's servers ask."""

    def __init__(
        self,
        source: SpecSource,
        compute: ComputeDriver,
        network: NetworkDriver,
        storage: StorageDriver,
        checkpoints: CheckpointDriver,
        *,
        guests: Guests,
        capacity: HostCapacity,
        warm: WarmStarts | None = None,
    ) -> None:
        self.guests = guests
        self._warm = warm
        self._source = source
        self._compute = compute
        self._network = network
        self._storage = storage
        self._checkpoints = checkpoints
        self._capacity = capacity
        self._spec: HostSpec | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._jobs = Jobs("host", self._wake.set)
        self._checkpointing = Checkpointing(checkpoints, self._jobs)
        self._threads: list[threading.Thread] = []
        self._acpi: dict[str, Stopping] = {}
        self._disks: dict[str, DiskObserved] = {}
        self._disks_listed = float("-inf")
        self._network_revision = 0
        self._network_problems: tuple[Problem, ...] = ()
        self._network_again = 0.0
        self._revision = 0
        self._trouble = ""  # why the last round failed
        self._reported: tuple[Observed, float] | None = None
        self._login = LoginWatch(network.greets, self._wake.set)
        guests.changed = self._wake.set
        compute.on_event(lambda _: self._wake.set())
        if warm is not None:
            warm.on_change(self._wake.set)

    def start(self) -> None:
        """Begin to converge; returns at once."""
        for work in (self._listen, self._converge):
            thread = threading.Thread(target=work, name=f"skerry-{work.__name__.strip('_')}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, *, keep_vms: bool, grace: float = 30.0) -> None:
        """End. `keep_vms`: guests and their networks go on by themselves; else guests get `grace` seconds to halt."""
        self._stopping.set()
        self._login.close()
        self._wake.set()
        for thread in self._threads:
            thread.join()
        self._checkpoints.close()
        self._jobs.close()
        if not keep_vms:
            self._halt_all(grace)
        if self._warm is not None:
            self._warm.close()
        self._compute.close()
        self._network.close(keep=keep_vms)

    def serial_log(self, vm: str) -> bytes | None:
        """The end of the VM's serial log."""
        return self._compute.serial_log(vm)

    # --- the threads -------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                spec = self._source.desired(self._spec.revision if self._spec else 0, ROUND)
            except Exception:
                log.exception("the desired spec could not be read; trying again")
                self._stopping.wait(ROUND)
                continue
            if spec is not None:
                self._accept(spec)

    def _accept(self, spec: HostSpec) -> None:
        if self._spec is not None and spec.revision < self._spec.revision:
            log.warning("refused a stale spec", revision=spec.revision, applied=self._spec.revision)
            return
        self._spec = spec
        self._jobs.hurry()
        self._wake.set()

    def _converge(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._round()
                self._trouble = ""
            except Exception as error:
                if str(error) != self._trouble:
                    log.exception("a round of convergence failed; trying again")
                self._trouble = str(error)
            self._wake.wait(ROUND)

    def _round(self) -> None:
        spec = self._spec
        if spec is not None:
            machines = self._compute.machines()
            self.guests.update(spec.vms)
            self._list_disks()
            if self._reported is None:  # images and capacity, which users wait for; networks take a while
                self._report(spec, machines)
            due = self._converge_disks(spec, machines)
            self._converge_network(spec)
            due |= self._converge_vms(spec, self._compute.machines())
            due |= self._checkpointing.converge(spec)
            self._jobs.keep_failures(due)
            if self._warm is not None:
                self._warm.order(spec.templates)
            self._advance(spec)
            self._report(spec, self._compute.machines())

    # --- disks -------------------------------------------------------------------------------------------------

    def _list_disks(self) -> None:
        """Look at the folder now and then, while no job changes it; in between this agent knows what it did."""
        if time.monotonic() - self._disks_listed < RELIST or self._jobs.any_busy("disk"):
            return
        self._disks_listed = time.monotonic()
        self._disks = {disk.id: disk for disk in self._storage.disks()}

    def _converge_disks(self, spec: HostSpec, machines: Mapping[str, Machine]) -> set[Key]:
        """Submit a job for each disk that is due; return the keys of those."""
        in_use = {disk for machine in machines.values() if machine.process for disk in machine.disks}
        in_use |= self._checkpointing.disks_at_work(spec)
        due = {
            ("disk", disk.id): disk
            for disk in spec.disks
            if converge.disk_is_due(disk, self._disks.get(disk.id), in_use=disk.id in in_use)
        }
        for key, disk in due.items():
            self._jobs.submit(key, disk, partial(self._ensure, disk))
        return set(due)

    def _ensure(self, disk: DiskSpec) -> None:
        seen = self._storage.ensure(disk)
        if disk.present:
            self._disks[disk.id] = seen
        else:
            self._disks.pop(disk.id, None)

    # --- network -----------------------------------------------------------------------------------------------

    def _converge_network(self, spec: HostSpec) -> None:
        """Apply a new revision at once; try a failed one again every few seconds."""
        done = self._network_revision == spec.revision and not self._network_problems
        if done or (self._network_revision == spec.revision and time.monotonic() < self._network_again):
            return
        self._network_revision = spec.revision
        try:
            self._network.apply(spec.vnets)
            self._network_problems = ()
        except Exception as error:
            log.warning("networks could not be applied whole; trying again", error=str(error))
            self._network_problems = _problems_of(error)
            self._network_again = time.monotonic() + 2 * ROUND

    def _advance(self, spec: HostSpec) -> None:
        """The revision counts as applied once all of it was tried; what failed is among the problems."""
        if not any(self._jobs.busy(("disk", disk.id)) for disk in spec.disks):
            self._revision = spec.revision

    # --- machines ----------------------------------------------------------------------------------------------

    def _converge_vms(self, spec: HostSpec, machines: Mapping[str, Machine]) -> set[Key]:
        """Take each idle VM one step on; return the keys of those that are not as they should be."""
        wanted = {vm.id: vm for vm in spec.vms}
        at_work = self._checkpointing.disks_at_work(spec)
        due: set[Key] = set()
        for vm in sorted(wanted.keys() | machines.keys()):
            if self._jobs.busy(("vm", vm)) or self._converge_vm(vm, wanted.get(vm), machines.get(vm), at_work):
                due.add(("vm", vm))
        return due

    def _converge_vm(self, vm: str, spec: VmSpec | None, machine: Machine | None, at_work: Set[str]) -> bool:
        """One step for one VM; whether there was something to do. `at_work`: disks that checkpoints are made of now."""
        now = time.monotonic()
        spec = self._checkpointing.possible(spec, machine) if spec is not None else None
        action = converge.next_action(spec, machine, self._acpi.get(vm), now)
        if spec is None or machine is None or machine.state == "halted" or not converge.must_stop(spec, machine):
            self._acpi.pop(vm, None)
        match action:
            case Action.START if spec is not None and self._disks_idle(spec, at_work):
                self._jobs.submit(("vm", vm), spec, partial(self._start, spec))
            case Action.RESTORE if spec is not None and self._disks_idle(spec, at_work):
                self._jobs.submit(("vm", vm), spec, partial(self._restore, spec))
            case Action.ACKNOWLEDGE if spec is not None:
                self._compute.acknowledge(vm, spec.start_generation)
            case Action.PRESS:
                self._press(vm, now)
            case Action.KILL:
                self._jobs.submit(("vm", vm), action, partial(self._compute.kill, vm))
            case Action.FORGET:
                self._jobs.submit(("vm", vm), action, partial(self._forget, vm))
        return action is not Action.NOTHING

    def _disks_idle(self, vm: VmSpec, at_work: Set[str]) -> bool:
        """Whether none of the VM's disks is being worked on; one that failed lets the start say why."""
        return not any(at.disk in at_work or self._jobs.busy(("disk", at.disk)) for at in vm.disks)

    def _press(self, vm: str, now: float) -> None:
        before = self._acpi.get(vm)
        self._acpi[vm] = Stopping(before.since if before else now, now)
        with suppress(HostError):
            self._compute.shutdown(vm)

    def _restore(self, vm: VmSpec) -> None:
        self._compute.kill(vm.id)
        self._checkpoints.put_back(vm)
        if vm.power == "running":
            self._start(vm, restored=True)
        else:
            self._compute.restored(vm.id, vm.restore_generation)

    def _start(self, vm: VmSpec, *, restored: bool = False) -> None:
        """`restored`: its disks were just put back to a checkpoint."""
        self._refuse_bad_disks(vm)
        self._refuse_bad_networks(vm)
        with self._taps(vm) as taps:
            why = self._continue(vm, taps, restored=restored)
        if why is None:
            return
        # What could not continue may have left others in the place of these TAPs.
        with self._taps(vm) as taps:
            files = [self._disk_file(attachment) for attachment in vm.disks]
            self._compute.start(self._as_started(vm), files, taps)
        if why:
            self._compute.remark(vm.id, why)

    @contextmanager
    def _taps(self, vm: VmSpec) -> Iterator[Sequence[int]]:
        with ExitStack() as opened:
            taps = []
            for port in vm.ports:
                taps.append(self._network.tap(port))
                opened.callback(os.close, taps[-1])
            yield taps

    def _continue(self, vm: VmSpec, taps: Sequence[int], *, restored: bool) -> str | None:
        """Let the VM continue from saved memory, if it can. Else why it has to boot; empty where that is no news."""
        try:
            if restored:
                return None if self._checkpoints.resume(vm, taps) else ""
            return None if self._start_as_new(vm, taps) else ""
        except (HostError, OSError) as error:
            log.warning("a VM can't continue from a checkpoint's memory; it boots", vm=vm.id, error=str(error))
            return f"it booted, for it could not continue from the checkpoint's memory: {error}"

    def _start_as_new(self, vm: VmSpec, taps: Sequence[int]) -> bool:
        """Whether it could continue from a fork's or a template's memory. It can be logged into then: it is ready."""
        if self._spec is None:
            return False
        if vm.fork_of is not None:
            started = self._checkpoints.fork(vm, self._spec.vnets, taps)
        elif started := self._warm is not None and self._warm.start(vm, self._spec.vnets, taps):
            self._login.trust(vm.id)
        if started:
            self.guests.report_health(vm.ports[0], "Ready", "")
        return started

    def _disk_file(self, attachment: DiskAttachment) -> DiskFile:
        file = self._storage.file(attachment.disk)
        return dataclasses.replace(file, lun=attachment.lun, read_only=attachment.read_only)

    def _refuse_bad_disks(self, vm: VmSpec) -> None:
        for attachment in vm.disks:
            problem = self._jobs.problem(("disk", attachment.disk))
            if problem:
                raise HostError(f"disk {attachment.disk} is not ready: {problem}")

    def _refuse_bad_networks(self, vm: VmSpec) -> None:
        """A guest that gets no address at its start has none for long."""
        vnets = self._spec.vnets if self._spec else ()
        ours = {vnet.id for vnet in vnets if any(port.id in vm.ports for port in vnet.ports)}
        for kind, name, message in self._problems_of_networks():
            if kind == "vnet" and name in ours:
                raise HostError(f"its virtual network can't be made: {message}")

    def _as_started(self, vm: VmSpec) -> VmSpec:
        """A provisioned guest needs no provisioning CD any more; as on Azure it is there at the first boot only."""
        return replace(vm, provisioning=None) if self.guests.health(vm.id).health == "ready" else vm

    def _forget(self, vm: str) -> None:
        self._compute.forget(vm)
        self.guests.forget(vm)

    def _halt_all(self, grace: float) -> None:
        """Power button for every guest, then the plug for those that took no notice."""
        now = time.monotonic()
        deadline, press = now + grace, now
        while now < deadline and (running := _running(self._compute)):
            if now >= press:  # again and again: who boots still takes no notice
                press = now + converge.PRESS_EVERY
                for vm in running:
                    with suppress(HostError):
                        self._compute.shutdown(vm)
            self._wake.wait(0.2)
            self._wake.clear()
            now = time.monotonic()
        for vm, machine in self._compute.machines().items():
            if machine.process:
                _attempt_kill(self._compute, vm)

    # --- the report --------------------------------------------------------------------------------------------

    def _report(self, spec: HostSpec, machines: Mapping[str, Machine]) -> None:
        """Send what changed, at once; send it unchanged every HEARTBEAT seconds.

        Never before there is a spec: a report without VMs would say that none runs.
        """
        observed = self._observe(spec, machines)
        now = time.monotonic()
        if self._reported and self._reported[0] == observed and now - self._reported[1] < HEARTBEAT:
            return
        self._source.report(observed)
        self._reported = (observed, now)

    def _observe(self, spec: HostSpec, machines: Mapping[str, Machine]) -> Observed:
        wanted = {vm.id: vm for vm in spec.vms}
        vms = sorted(wanted.keys() | machines.keys())
        return Observed(
            revision=self._revision,
            capacity=replace(self._capacity, disk_bytes=free_gib(self._storage.free_bytes)),
            vms=tuple(self._observe_vm(vm, wanted.get(vm), machines.get(vm)) for vm in vms),
            disks=tuple(self._observe_disks(spec)),
            images=tuple(self._storage.images()),
            checkpoints=tuple(self._checkpointing.observe(spec)),
            problems=tuple(self._problems()),
            warm=self._warm.observe() if self._warm is not None else None,
            standbys=tuple(self._warm.standbys()) if self._warm is not None else (),
        )

    def _observe_vm(self, vm: str, spec: VmSpec | None, machine: Machine | None) -> VmObserved:
        problem = self._jobs.problem(("vm", vm)) or self._checkpointing.obstacle(spec, machine)
        reported = self.guests.health(vm)
        health = self._login.health(vm, spec.ports[0] if spec and spec.ports else None, reported.health)
        state = converge.power(spec, machine, problem)
        if self._warm is not None and spec is not None and health == "ready":
            self._warm.learn(spec)
        if machine is None:
            return VmObserved(id=vm, power=state, health=health, message=problem or reported.message)
        return VmObserved(
            id=vm,
            power=state,
            start_generation=machine.start_generation,
            restart_generation=machine.restart_generation,
            restore_generation=machine.restore_generation,
            health=health,
            message=problem or machine.message or reported.message,
            vcpus=machine.vcpus,
            memory_bytes=machine.memory_bytes,
            agent_version=machine.agent_version,
            phases={name: round(seconds, 3) for name, seconds in machine.phases.items()},
        )

    def _observe_disks(self, spec: HostSpec) -> list[DiskObserved]:
        """Every disk that is here, and those of the spec that could not be made."""
        failed = {
            disk.id: DiskObserved(id=disk.id, ready=False, message=problem)
            for disk in spec.disks
            if (problem := self._jobs.problem(("disk", disk.id)))
        }
        here = {
            key: replace(disk, message=failed[key].message) if key in failed else disk
            for key, disk in dict(self._disks).items()
        }
        return [disk for _, disk in sorted((failed | here).items())]

    def _problems(self) -> list[Problem]:
        return [*self._problems_of_networks(), *self._jobs.problems()]

    def _problems_of_networks(self) -> list[Problem]:
        return list(dict.fromkeys((*self._network_problems, *self._network.problems())))


def _problems_of(error: Exception) -> tuple[Problem, ...]:
    """What a network driver could not apply, thing by thing where it says so."""
    return tuple(getattr(error, "problems", ())) or (("network", "", str(error) or type(error).__name__),)


def _attempt_kill(compute: ComputeDriver, vm: str) -> None:
    """One guest that can't be ended must not keep the others running."""
    try:
        compute.kill(vm)
    except HostError as error:
        log.error("a guest could not be ended and goes on", vm=vm, error=str(error))


def _running(compute: ComputeDriver) -> list[str]:
    return [vm for vm, machine in compute.machines().items() if machine.state == "running"]
