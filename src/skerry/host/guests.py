"""What is known of the guests: whose port is whose, and how their provisioning went.

Health outlives Skerry in STATE/vms/ID/health.json: a guest posts Ready once, not again for a new agent.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Literal

import msgspec
import structlog

from skerry.host.files import write_atomically
from skerry.hostspec import Health, VmSpec

log = structlog.get_logger()


class GuestHealth(msgspec.Struct, frozen=True):
    """What a guest said last; `message` is its own description of a failure."""

    health: Health = "pending"
    message: str = ""


class Guests:
    """The GuestPlatform of one host. Callable from any thread. `folder` is STATE/vms; None keeps all in memory."""

    def __init__(self, folder: Path | None = None) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._folder = folder
        self._lock = Lock()
        self._writing = Lock()
        self._ports: dict[str, VmSpec] = {}
        self._health: dict[str, GuestHealth] = {}

    def update(self, vms: Sequence[VmSpec]) -> None:
        """Take over the ports and metadata of a new spec."""
        ports = {port: vm for vm in vms for port in vm.ports}
        with self._lock:
            self._ports = ports

    def metadata(self, port: str) -> str | None:
        """The guest's instance metadata document; None where there is no guest or no document."""
        vm = self._behind(port)
        return (vm.metadata or None) if vm else None

    def vm(self, port: str) -> str | None:
        """The vmId behind `port`."""
        vm = self._behind(port)
        return vm.id if vm else None

    def report_health(self, port: str, state: Literal["Ready", "NotReady"], description: str) -> None:
        """Keep what the guest says. Ready is final: a provisioned guest stays provisioned."""
        vm = self._behind(port)
        if vm is None or self.health(vm.id).health == "ready":
            return
        health = GuestHealth("ready") if state == "Ready" else GuestHealth("failed", _printable(description[:2000]))
        if self.health(vm.id) == health:
            return
        log.info("guest reported its health", vm=vm.id, health=health.health, message=health.message)
        self._store(vm.id, health)
        self.changed()

    def health(self, vm: str) -> GuestHealth:
        """The VM's last report, `pending` before any."""
        with self._lock:
            if vm not in self._health:
                self._health[vm] = self._load(vm)
            return self._health[vm]

    def forget(self, vm: str) -> None:
        """The VM is gone; its folder, with the file, is removed by the compute driver."""
        with self._lock:
            self._health.pop(vm, None)

    def _behind(self, port: str) -> VmSpec | None:
        with self._lock:
            return self._ports.get(port)

    def _load(self, vm: str) -> GuestHealth:
        path = self._path(vm)
        if path is None or not path.exists():
            return GuestHealth()
        try:
            return msgspec.json.decode(path.read_bytes(), type=GuestHealth)
        except (OSError, msgspec.DecodeError) as error:
            log.warning(
                "health file can't be read; the guest counts as not yet ready", path=str(path), error=str(error)
            )
            return GuestHealth()

    def _store(self, vm: str, health: GuestHealth) -> None:
        path = self._path(vm)
        with self._writing:  # one guest's slow disk must not hold up what the others ask
            with self._lock:
                self._health[vm] = health
            if path is not None and path.parent.is_dir():
                write_atomically(path, msgspec.json.encode(health))

    def _path(self, vm: str) -> Path | None:
        return self._folder / vm / "health.json" if self._folder else None


def _printable(text: str) -> str:
    """What a guest says ends in error messages, which az writes to a terminal as they are."""
    return "".join(character if character.isprintable() else " " for character in text)
