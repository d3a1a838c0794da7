"""A hypervisor in memory, for the API tests.

A started machine "boots" and its guest posts Ready to the platform as cloud-init does.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from skerry.host.compute.driver import DiskFile, Machine
from skerry.host.errors import HostError
from skerry.host.network.driver import GuestPlatform
from skerry.hostspec import VmSpec


class FakeCompute:
    """The knobs may be turned at any time.

    `boot_delay`: seconds that `start` takes. `ready_delay`: seconds from start to the guest's Ready post.
    `never_ready`: the guest posts nothing. `not_ready`: it posts NotReady with this description instead.
    `ignore_acpi`: the guest doesn't answer the power button.
    `fail_next`: messages; each start uses one up and fails with it.
    `calls`: what was asked, in order, as (verb, vm id).
    """

    accelerator: Literal["kvm", "tcg", "fake"] = "fake"

    def __init__(self, platform: GuestPlatform | None = None) -> None:
        self.platform = platform
        self.boot_delay = 0.0
        self.ready_delay = 0.0
        self.never_ready = False
        self.not_ready = ""
        self.ignore_acpi = False
        self.fail_next: list[str] = []
        self.calls: list[tuple[str, str]] = []
        self._machines: dict[str, Machine] = {}
        self._serial: dict[str, bytes] = {}
        self._callbacks: list[Callable[[str], None]] = []
        self._lock = threading.Lock()

    def machines(self) -> Mapping[str, Machine]:
        """A copy of every machine started here and not forgotten."""
        with self._lock:
            return dict(self._machines)

    def start(self, spec: VmSpec, disks: Sequence[DiskFile], taps: Sequence[int]) -> None:
        """Boot after `boot_delay`, or fail with the next of `fail_next`; one file per disk and one TAP per NIC."""
        if (len(disks), len(taps)) != (len(spec.disks), len(spec.ports)):
            raise HostError(f"VM {spec.id} was given {len(disks)} disk files and {len(taps)} TAPs")
        with self._lock:
            self.calls.append(("start", spec.id))
            known = self._machines.get(spec.id)
            if known and known.process:
                return
            failure = self.fail_next.pop(0) if self.fail_next else None
        time.sleep(self.boot_delay)
        if failure is not None:
            raise HostError(failure)
        with self._lock:
            self._machines[spec.id] = started(spec)
            self._serial[spec.id] = self._serial.get(spec.id, b"") + f"{spec.name} login: ".encode()
        self._notify(spec.id)
        self._post_health(spec)

    def acknowledge(self, vm: str, start_generation: int) -> None:
        """Record the order as met."""
        self._change(vm, start_generation=start_generation)

    def restored(self, vm: str, restore_generation: int) -> None:
        """Record the order as met; a VM that never ran is known from now on."""
        with self._lock:
            self._machines.setdefault(vm, Machine(vm, process=False, state="halted"))
        self._change(vm, restore_generation=restore_generation)

    def remark(self, vm: str, message: str) -> None:
        """Keep the message."""
        self._change(vm, message=message)

    def shutdown(self, vm: str) -> None:
        """The guest obeys at once unless `ignore_acpi`."""
        with self._lock:
            self.calls.append(("shutdown", vm))
        if not self.ignore_acpi:
            self._change(vm, state="halted", reason="asked")

    def kill(self, vm: str) -> None:
        """The process is gone; a reason given before stays."""
        with self._lock:
            self.calls.append(("kill", vm))
            known = self._machines.get(vm)
        if known:
            self._change(vm, process=False, state="halted", reason=known.reason or "asked")

    def forget(self, vm: str) -> None:
        """No trace is left but in `calls`."""
        with self._lock:
            self.calls.append(("forget", vm))
            self._machines.pop(vm, None)
            self._serial.pop(vm, None)
        self._notify(vm)

    def serial_log(self, vm: str) -> bytes | None:
        """What the guest printed: one login prompt per boot."""
        with self._lock:
            return self._serial.get(vm)

    def on_event(self, callback: Callable[[str], None]) -> None:
        """Call back on every change."""
        self._callbacks.append(callback)

    def close(self) -> None:
        """Send no more events."""
        self._callbacks.clear()

    def guest_shutdown(self, vm: str) -> None:
        """The guest's user powers it off from inside."""
        self._change(vm, state="halted", reason="guest-shutdown")

    def crash(self, vm: str) -> None:
        """Its QEMU process dies once too often, or its kernel panics: it stays stopped."""
        self._change(vm, process=False, state="halted", reason="crashed", message="the QEMU process ended unexpectedly")

    def lose(self, vm: str) -> None:
        """Its QEMU process dies for the first time: the agent is to start it again."""
        self._change(vm, process=False, state="halted", reason="lost", message="the QEMU process ended unexpectedly")

    def reboot_host(self) -> None:
        """Every running process is gone as after a power cut."""
        for machine in self.machines().values():
            if machine.process:
                self._change(machine.id, process=False, state="halted", reason="host-rebooted")

    def _change(self, vm: str, **changes: object) -> None:
        with self._lock:
            if vm in self._machines:
                self._machines[vm] = replace(self._machines[vm], **changes)  # type: ignore[arg-type]
        self._notify(vm)

    def _notify(self, vm: str) -> None:
        for callback in list(self._callbacks):
            callback(vm)

    def _post_health(self, spec: VmSpec) -> None:
        if self.never_ready or self.platform is None or spec.provisioning is None or not spec.ports:
            return
        state: Literal["Ready", "NotReady"] = "NotReady" if self.not_ready else "Ready"
        arguments = (spec.ports[0], state, self.not_ready)
        if not self.ready_delay:
            self.platform.report_health(*arguments)
            return
        post = threading.Timer(self.ready_delay, self.platform.report_health, args=arguments)
        post.daemon = True
        post.start()


def started(spec: VmSpec) -> Machine:
    """A machine that has just been started, all orders carried out."""
    return Machine(
        id=spec.id,
        process=True,
        state="running",
        start_generation=spec.start_generation,
        restart_generation=spec.restart_generation,
        restore_generation=spec.restore_generation,
        vcpus=spec.vcpus,
        memory_bytes=spec.memory_bytes,
        disks=tuple(attachment.disk for attachment in spec.disks),
    )
