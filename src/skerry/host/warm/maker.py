"""Making a template: boot a nobody once, let it idle, take out what clones must not share, save its memory."""

import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from skerry.host.compute.driver import DiskFile
from skerry.host.compute.qemu import process
from skerry.host.compute.qemu.argv import Memory
from skerry.host.compute.qemu.firmware import VARIABLES
from skerry.host.compute.qemu.launch import AGENT_SOCKET, QMP_SOCKET, Setting, launch
from skerry.host.compute.qemu.qmp import Event, Loop, Monitor
from skerry.host.errors import HostError
from skerry.host.storage import qemu_img
from skerry.host.warm.clone import Clone, save
from skerry.host.warm.guest_agent import GuestAgent
from skerry.host.warm.identity import SEED_BYTES, Place, parameters, prepare
from skerry.host.warm.memory import new_memory, save_memory
from skerry.host.warm.templates import DISK, RAM, STATE, Key, Template, Templates, TooLarge, nobody
from skerry.hostspec import Provisioning

MAC = "02:00:00:00:00:01"
CONNECT_SECONDS, BOOT_SECONDS, AGENT_SECONDS, PREPARE_SECONDS = 30.0, 1800.0, 60.0, 600.0


@dataclass(frozen=True)
class Maker:
    """Makes templates with one QEMU and machine type. `tap` leads nowhere and stays the caller's.

    `niceness`: 0 to 19, by how much its guests stand back behind other processes.
    """

    templates: Templates
    setting: Setting
    machine: str
    loop: Loop
    tap: int
    niceness: int

    def make(self, key: Key, image: Path, disk_bytes: int) -> Template:
        """Make a template for `key` on the image file `image`; takes a boot.

        Raises HostError; nothing is left then.
        """
        folder = self.templates.folder / f".{uuid4()}"
        memory = new_memory(key.memory_bytes)
        try:
            folder.mkdir(mode=0o700)
            qemu_img.create(folder / DISK, disk_bytes, f"../../images/{image.parent.name}/{image.name}")
            booted = self._booted(folder, key, (image,), Memory(memory, shared=True))
            with booted as (monitor, runs), _prepared(folder, runs), (folder / STATE).open("wb") as state:
                monitor.execute("set_link", {"name": "nic0", "up": False})
                save(monitor, state.fileno())
            save_memory(memory, folder / RAM)
            template = self.templates.finish(folder, key, MAC)
        except OSError as error:
            raise HostError(f"no template could be made: {error.strerror or error}") from error
        finally:
            os.close(memory)
            shutil.rmtree(folder, ignore_errors=True)
        self.check(template)
        try:
            self.templates.approve(template)
        except OSError as error:
            self.templates.drop(template, f"it could not be noted: {error}")
            raise HostError(f"no template could be made: {error.strerror or error}") from error
        return template

    def check(self, template: Template) -> None:
        """Try a clone. Drops the template and raises HostError unless it becomes what it is told to be."""
        try:
            memory, state = self.templates.open(template)
        except TooLarge as error:
            self.templates.drop(template, str(error))
            raise
        folder = self.templates.folder / f".{uuid4()}"
        try:
            folder.mkdir(mode=0o700)
            qemu_img.create(folder / DISK, template.disk_bytes, f"../{template.id}/{DISK}")
            if template.key.firmware == "uefi":
                shutil.copyfile(self.templates.variables(template), folder / VARIABLES)
            clone = Clone(Memory(memory, shared=False), state, _trial(template), None)
            with self._booted(folder, template.key, self.templates.below(template), clone.memory) as (monitor, _):
                clone.wake(monitor, folder / AGENT_SOCKET)
        except (OSError, HostError) as error:
            self.templates.drop(template, f"its trial clone failed: {error}")
            raise HostError(f"its trial clone failed: {error}") from error
        finally:
            os.close(memory)
            os.close(state)
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _booted(
        self, folder: Path, key: Key, below: Sequence[Path], memory: Memory
    ) -> Iterator[tuple[Monitor, threading.Event]]:
        """The monitor of a guest, and what is set when its guest agent begins to run. It is ended afterwards.

        `below`: the files that its disk is an overlay of, nearest first.
        """
        agent_runs = threading.Event()

        def on_event(event: Event) -> None:
            if event["event"] == "VSERPORT_CHANGE" and event["data"]["open"]:
                agent_runs.set()
            if event["event"] == "BLOCK_IO_ERROR" and event["data"]["action"] == "stop":
                os.kill(launched.pid, signal.SIGKILL)  # the disk is full; it would wait for room

        vm = nobody(folder.name.lstrip("."), key, MAC)
        disk = DiskFile(str(folder / DISK), "qcow2", backing=tuple((str(path), "qcow2") for path in below))
        setting = replace(self.setting, niceness=self.niceness)
        launched = launch(setting, self.machine, folder, vm, disks=[disk], taps=[self.tap], memory=memory)
        # The event is also for a guest that is gone: then nothing answers.
        monitor = Monitor(self.loop, on_event, agent_runs.set)
        try:
            monitor.connect(folder / QMP_SOCKET, CONNECT_SECONDS)
            yield monitor, agent_runs
        except HostError as error:
            raise HostError(f"{error} {launched.last_words()}".strip()) from error
        finally:
            with suppress(HostError):
                monitor.close()
            if (found := process.look_up(launched.pid)) is not None:
                process.end(found)
            launched.reap(wait=True)
            launched.let_go()


@contextmanager
def _prepared(folder: Path, agent_runs: threading.Event) -> Iterator[None]:
    """Wait until the guest idles, and take out of it what clones must not share. Its agent sees us until the end."""
    # Asked before it runs, it would find a heap of questions.
    if not agent_runs.wait(BOOT_SECONDS):
        raise HostError(f"no guest agent ran within {BOOT_SECONDS:g} s")
    with GuestAgent(folder / AGENT_SOCKET) as agent:
        agent.wait(AGENT_SECONDS)
        agent.run("/bin/sh", b"exec systemctl is-system-running --wait\n", BOOT_SECONDS, check=False)
        agent.run("/bin/sh", prepare(), PREPARE_SECONDS)
        yield


def _trial(template: Template) -> bytes:
    """The identity of a clone that nobody will use."""
    nobody = Provisioning(hostname="trial", admin_username="trial")
    place = Place("02:00:00:00:00:02", "192.0.2.2/24", "192.0.2.1")
    return parameters(str(uuid4()), nobody, place, template_mac=template.mac, seed=os.urandom(SEED_BYTES))
