"""Checkpoints in memory, for the API tests."""

import threading
from collections.abc import Sequence

from skerry.host.checkpoints.driver import NOT_RUNNING
from skerry.host.compute.fake import FakeCompute
from skerry.host.errors import HostError
from skerry.host.storage.fake import FakeStorage
from skerry.hostspec import CheckpointObserved, CheckpointSpec, VmSpec, VnetSpec


class FakeCheckpoints:
    """Its VMs are those of the fake hypervisor.

    `fail_next`: messages; each `make`, `resume` or `fork` uses one up and fails with it.
    `gate`: cleared, every `make` waits until it is set. `calls`: what was asked, as (verb, vm or checkpoint id).
    """

    def __init__(self, compute: FakeCompute, storage: FakeStorage) -> None:
        self._compute, self._storage = compute, storage
        self.fail_next: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.calls: list[tuple[str, str]] = []
        self._made: dict[str, CheckpointObserved] = {}

    def checkpoints(self) -> Sequence[CheckpointObserved]:
        return list(self._made.values())

    def make(self, checkpoint: CheckpointSpec, vm: VmSpec | None) -> CheckpointObserved:
        self._note("make", checkpoint.id)
        self.gate.wait()
        machine = self._compute.machines().get(checkpoint.vm) if vm else None
        runs = machine is not None and machine.state == "running"
        if checkpoint.memory and not runs:
            raise HostError(NOT_RUNNING)
        self._storage.freeze(checkpoint.id, checkpoint.disks)
        pause, disks = (0.05, 0.004) if checkpoint.memory else (0.0, 0.002 if runs else 0.0)
        self._made[checkpoint.id] = CheckpointObserved(
            checkpoint.id,
            ready=True,
            memory=checkpoint.memory,
            size_bytes=300 << 20 if checkpoint.memory else 0,
            pause_seconds=pause,
            disk_pause_seconds=disks,
        )
        return self._made[checkpoint.id]

    def remove(self, checkpoint: str) -> None:
        self.calls.append(("remove", checkpoint))
        self._made.pop(checkpoint, None)
        self._storage.thaw(checkpoint)

    def put_back(self, vm: VmSpec) -> None:
        self.calls.append(("put_back", vm.id))

    def resume(self, vm: VmSpec, taps: Sequence[int]) -> bool:
        return self._continue("resume", vm, vm.restore_from, taps)

    def fork(self, vm: VmSpec, vnets: Sequence[VnetSpec], taps: Sequence[int]) -> bool:  # noqa: ARG002
        machine = self._compute.machines().get(vm.id)
        if machine is not None and machine.start_generation:
            return False
        return self._continue("fork", vm, vm.fork_of, taps)

    def close(self) -> None:
        self.gate.set()

    def _continue(self, verb: str, vm: VmSpec, checkpoint: str | None, taps: Sequence[int]) -> bool:
        self._note(verb, vm.id)
        known = self._made.get(checkpoint or "")
        if known is None or not known.memory:
            return False
        self._compute.start(vm, [self._storage.file(at.disk) for at in vm.disks], taps)
        return True

    def _note(self, verb: str, identifier: str) -> None:
        self.calls.append((verb, identifier))
        if self.fail_next:
            raise HostError(self.fail_next.pop(0))
