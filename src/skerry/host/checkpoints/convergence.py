"""Bringing the host's checkpoints to the spec: a job for each that is to be made or removed."""

import time
from functools import partial

from msgspec.structs import replace

from skerry.host.checkpoints.driver import CheckpointDriver
from skerry.host.compute.driver import Machine
from skerry.host.converge import must_restore
from skerry.host.jobs import Jobs, Key
from skerry.hostspec import CheckpointObserved, CheckpointSpec, HostSpec, VmSpec

RELIST = 30.0


class Checkpointing:
    """What the agent's rounds do about checkpoints."""

    def __init__(self, driver: CheckpointDriver, jobs: Jobs) -> None:
        self._driver, self._jobs = driver, jobs
        self._seen: dict[str, CheckpointObserved] = {}
        self._listed = float("-inf")

    def converge(self, spec: HostSpec) -> set[Key]:
        """Submit a job for each checkpoint that is due; return the keys of those."""
        self._list()
        vms = {vm.id: vm for vm in spec.vms}
        due = {("checkpoint", wanted.id): wanted for wanted in spec.checkpoints if self._is_due(wanted)}
        for key, wanted in due.items():
            if not wanted.present:
                self._jobs.submit(key, wanted, partial(self._remove, wanted.id))
            elif self._is_still(wanted, spec):
                self._jobs.submit(key, wanted, partial(self._make, wanted, vms.get(wanted.vm)))
        return set(due)

    def disks_at_work(self, spec: HostSpec) -> set[str]:
        """The disks of checkpoints that are being made: nothing else may touch their files."""
        making = (wanted for wanted in spec.checkpoints if self._jobs.busy(("checkpoint", wanted.id)))
        return {disk for wanted in making if wanted.present for disk in wanted.disks}

    def possible(self, vm: VmSpec, machine: Machine | None) -> VmSpec:
        """The VM's spec without an order to restore that can't be carried out, for the checkpoint isn't here."""
        if self.obstacle(vm, machine) is None:
            return vm
        return replace(vm, restore_from=None, restore_generation=machine.restore_generation if machine else 0)

    def obstacle(self, vm: VmSpec | None, machine: Machine | None) -> str | None:
        """Why an order to restore isn't carried out; None where there is no such order or nothing in its way."""
        if vm is None or not must_restore(vm, machine):
            return None
        self._list()  # an agent that has just begun doesn't know yet what is here
        known = self._seen.get(vm.restore_from or "")
        if known is not None and known.ready:
            return None
        return f"checkpoint {vm.restore_from} is not on this host; the VM was left as it is"

    def observe(self, spec: HostSpec) -> list[CheckpointObserved]:
        """Every checkpoint that is here, and those of the spec that could not be made."""
        found = dict(self._seen)
        for wanted in spec.checkpoints:
            problem = self._jobs.problem(("checkpoint", wanted.id))
            if problem:
                here = found.get(wanted.id, CheckpointObserved(wanted.id, ready=False))
                found[wanted.id] = replace(here, message=problem)
        return [checkpoint for _, checkpoint in sorted(found.items())]

    def _list(self) -> None:
        """Look at the folder now and then, while no job changes it."""
        if time.monotonic() - self._listed >= RELIST and not self._jobs.any_busy("checkpoint"):
            self._listed = time.monotonic()
            self._seen = {known.id: known for known in self._driver.checkpoints()}

    def _is_due(self, wanted: CheckpointSpec) -> bool:
        here = wanted.id in self._seen
        return not here and not wanted.made if wanted.present else here

    def _is_still(self, wanted: CheckpointSpec, spec: HostSpec) -> bool:
        """Whether nothing else works on the VM or its disks, another of its checkpoints included."""
        if self._jobs.busy(("vm", wanted.vm)) or not self.disks_at_work(spec).isdisjoint(wanted.disks):
            return False
        return not any(self._jobs.busy(("disk", disk)) for disk in wanted.disks)

    def _make(self, wanted: CheckpointSpec, vm: VmSpec | None) -> None:
        self._seen = {**self._seen, wanted.id: self._driver.make(wanted, vm)}

    def _remove(self, checkpoint: str) -> None:
        self._driver.remove(checkpoint)
        self._seen = {key: known for key, known in self._seen.items() if key != checkpoint}
