"""Many hosts that boot nothing, in one thread: `skerry up --simulate N`.

They have no state of their own: what a host reported last is what it is. So the whole fleet costs what its changes
cost, and any process can go on with it. What becomes of a VM is what `converge` says, of a guest that obeys at once.
"""

import threading
from dataclasses import replace
from types import MappingProxyType

import structlog

from skerry.host.capacity import GIB
from skerry.host.compute.driver import Machine
from skerry.host.compute.fake import started
from skerry.host.converge import Action, next_action, power
from skerry.host.storage.fake import DEBIAN_12
from skerry.hostspec import CheckpointObserved, CheckpointSpec, DiskObserved, DiskSpec, HostCapacity, VmObserved, VmSpec
from skerry.hostspec.client import FleetSource

log = structlog.get_logger()

ROUND = 1.0  # seconds; a change of a spec ends the wait
ZONES, FAULT_DOMAINS = 3, 5
SERIAL_LOG = b"A simulated guest prints this only.\r\nlogin: "


def name(number: int) -> str:
    """The id of a host, counted from 0; in order."""
    return f"sim-{number:06}"


def capacity(number: int) -> HostCapacity:
    """Hosts stand in three zones, and in five fault domains of each."""
    return HostCapacity(
        cpus=32,
        memory_bytes=128 * GIB,
        disk_bytes=0,
        accelerator="fake",
        zone=str(number % ZONES + 1),
        fault_domain=number // ZONES % FAULT_DOMAINS,
    )


class Fleet:
    """The agent of all simulated hosts, and the control plane's HostGateway to them."""

    def __init__(self, source: FleetSource, size: int) -> None:
        self._source = source
        self._hosts = {name(number): capacity(number) for number in range(size)}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)

    def start(self) -> None:
        """Make the hosts known, and begin to converge."""
        self._source.enrol(MappingProxyType(self._hosts), [DEBIAN_12])
        self._thread.start()

    def stop(self, *, keep_vms: bool) -> None:  # noqa: ARG002
        """End. There is no guest to be stopped."""
        self._stopping.set()
        self._source.close()
        if self._thread.is_alive():
            self._thread.join()

    def serial_log(self, vm: str) -> bytes | None:  # noqa: ARG002
        """What a guest printed."""
        return SERIAL_LOG

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self._source.converge(imagine_vm, imagine_disk, imagine_checkpoint):
                    self._source.wait(ROUND)
            except Exception:
                log.exception("the simulated hosts could not converge; trying again")
                self._stopping.wait(ROUND)


def imagine_vm(spec: VmSpec, seen: VmObserved | None) -> VmObserved:
    """What becomes of a VM that was reported as `seen` and should be as `spec` says."""
    machine = _machine(seen) if seen is not None and seen.start_generation else None
    while (action := next_action(spec, machine, None, 0.0)) is not Action.NOTHING:
        machine = _after(action, spec, machine)
    booted = machine is not None and bool(spec.provisioning and spec.ports)
    return VmObserved(
        id=spec.id,
        power=power(spec, machine, None),
        start_generation=machine.start_generation if machine else 0,
        restart_generation=machine.restart_generation if machine else 0,
        health="ready" if booted or (seen and seen.health == "ready") else "pending",
        vcpus=machine.vcpus if machine else 0,
        memory_bytes=machine.memory_bytes if machine else 0,
        restore_generation=machine.restore_generation if machine else 0,
    )


def imagine_disk(spec: DiskSpec, seen: DiskObserved | None) -> DiskObserved | None:
    """What becomes of a disk's file; None when it is no more."""
    if not spec.present:
        return None
    return DiskObserved(spec.id, ready=True, size_bytes=max(spec.size_bytes, seen.size_bytes if seen else 0))


def imagine_checkpoint(spec: CheckpointSpec) -> CheckpointObserved | None:
    """What becomes of a checkpoint; None when it is no more."""
    return CheckpointObserved(spec.id, ready=True, memory=spec.memory) if spec.present else None


def _machine(seen: VmObserved) -> Machine:
    runs = seen.power == "running"
    return Machine(
        id=seen.id,
        process=runs,
        state="running" if runs else "halted",
        reason="" if runs else "asked",
        start_generation=seen.start_generation,
        restart_generation=seen.restart_generation,
        restore_generation=seen.restore_generation,
        vcpus=seen.vcpus,
        memory_bytes=seen.memory_bytes,
    )


def _after(action: Action, spec: VmSpec, machine: Machine | None) -> Machine:
    if action is Action.RESTORE and spec.power == "stopped":
        stopped = machine or Machine(spec.id, process=False, state="halted")
        return replace(
            stopped, process=False, state="halted", reason="asked", restore_generation=spec.restore_generation
        )
    if action in (Action.START, Action.RESTORE):
        return started(spec)
    assert machine is not None
    if action is Action.ACKNOWLEDGE:
        return replace(machine, start_generation=spec.start_generation)
    if action is Action.PRESS:
        return replace(machine, state="halted", reason="asked")
    assert action is Action.KILL
    return replace(machine, process=False, state="halted", reason=machine.reason or "asked")
