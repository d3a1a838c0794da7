"""A QEMU that never runs: it takes a guest's memory over into a file, and writes the rest of the machine to another."""

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from skerry.host.checkpoints.sending import CHANNEL
from skerry.host.compute.driver import DiskFile
from skerry.host.compute.qemu import process
from skerry.host.compute.qemu.argv import Memory
from skerry.host.compute.qemu.launch import QMP_SOCKET, Launched, Setting, launch
from skerry.host.compute.qemu.qmp import Loop, Monitor
from skerry.host.errors import HostError
from skerry.host.storage import qemu_img
from skerry.host.warm.clone import save
from skerry.hostspec import DiskAttachment, VmSpec

CONNECT_SECONDS, RECEIVE_SECONDS = 30.0, 60.0
POLL_SECONDS = 0.01


@dataclass
class Receiver:
    """It waits for what the guest's QEMU will send through `sender`."""

    monitor: Monitor
    sender: socket.socket

    def hand_to(self, guest: Monitor) -> None:
        """Give the guest's QEMU its end. Nobody else has it then, so that each QEMU notices when the other ends."""
        guest.give(CHANNEL, self.sender.fileno())
        self.sender.close()

    def finish(self, state: Path) -> None:
        """Wait until all is there, and write the state without the memory. Raises HostError."""
        deadline = time.monotonic() + RECEIVE_SECONDS
        while self.monitor.status() == "inmigrate":
            if time.monotonic() > deadline:
                raise HostError(f"the memory did not arrive within {RECEIVE_SECONDS:g} s")
            time.sleep(POLL_SECONDS)
        with state.open("wb") as file:
            save(self.monitor, file.fileno())


@contextmanager
def receiving(
    setting: Setting,
    loop: Loop,
    machine: str,
    folder: Path,
    vm: VmSpec,
    *,
    identifier: str,
    sizes: Sequence[int],
    taps: Sequence[int],
    ram: Path,
    reporting: bool,
) -> Iterator[Receiver]:
    """A receiver for the guest `vm`, whose memory gets into the file `ram`; it is ended afterwards. Raises HostError.

    `folder`: for its own files. `sizes`: bytes of the guest's disks, for which it has empty ones.
    """
    with ExitStack() as stack:
        memory = stack.enter_context(_memory(ram, vm.memory_bytes))
        disks = [_empty(folder, at, size) for at, size in zip(vm.disks, sizes, strict=True)]
        nobody = replace(vm, id=identifier, provisioning=None)
        kept = Memory(memory, shared=True, receives=True, reporting=reporting)
        launched = launch(setting, machine, folder, nobody, disks=disks, taps=taps, memory=kept)
        stack.callback(_end, launched)
        monitor = Monitor(loop, lambda _: None, lambda: None)
        stack.callback(_close, monitor)
        try:
            monitor.connect(folder / QMP_SOCKET, CONNECT_SECONDS)
            sender, incoming = socket.socketpair()
            stack.callback(sender.close)
            with incoming:
                monitor.give("incoming", incoming.fileno())
            monitor.execute("migrate-incoming", {"uri": "fd:incoming"})
            yield Receiver(monitor, sender)
        except HostError as error:
            raise HostError(f"{error} {launched.last_words()}".strip()) from error


@contextmanager
def _memory(ram: Path, size: int) -> Iterator[int]:
    """The file, open. QEMU opens it by the descriptor as its own user; the folder keeps all others away."""
    descriptor = os.open(ram, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, size)
        os.fchmod(descriptor, 0o666)
        yield descriptor
    finally:
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)


def _empty(folder: Path, at: DiskAttachment, size: int) -> DiskFile:
    path = folder / f"{at.disk}.qcow2"
    qemu_img.create(path, size)
    return DiskFile(str(path), "qcow2", lun=at.lun)


def _close(monitor: Monitor) -> None:
    with suppress(HostError):
        monitor.close()


def _end(launched: Launched) -> None:
    if (found := process.look_up(launched.pid)) is not None:
        process.end(found)
    launched.reap(wait=True)
    launched.let_go()
