"""The templates of one state folder: what each was made of, and the files that clones start from.

The memory is given to QEMU as a sealed memfd: all clones share its pages, and none can change them, not even one that
took its QEMU over. It is loaded from its file at the first clone and kept.
"""

import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from skerry.host.compute.qemu import process
from skerry.host.compute.qemu.firmware import VARIABLES
from skerry.host.errors import HostError
from skerry.host.files import sync, write_atomically
from skerry.host.storage import chains
from skerry.host.storage.headers import read_qcow2
from skerry.host.warm.limits import Limits
from skerry.host.warm.memory import crc, load
from skerry.hostspec import DiskAttachment, VmSpec

log = structlog.get_logger()

BLOCK = 512  # stat(2): what st_blocks counts
DETAILS, RAM, STATE, DISK = "template.json", "ram", "state", "disk.qcow2"


class TooLarge(HostError):
    """A template that would take more than it may. It isn't damaged."""


class Key(msgspec.Struct, frozen=True):
    """What a VM must have in common with a template to be its clone. `setting`: see setting.py."""

    image: str
    vcpus: int
    memory_bytes: int
    firmware: Literal["bios", "uefi"]
    setting: str


def nobody(identifier: str, key: Key, mac: str) -> VmSpec:
    """A machine of this kind that is no VM's."""
    return VmSpec(
        id=identifier,
        name="nobody",
        vcpus=key.vcpus,
        memory_bytes=key.memory_bytes,
        disks=(DiskAttachment(identifier),),
        ports=("",),
        macs=(mac,),
        firmware=key.firmware,
    )


class Template(msgspec.Struct, frozen=True):
    """A template as its file describes it. `checksums`: CRC-32 of the memory's, the state's and the disk's file."""

    id: str
    key: Key
    mac: str
    disk_bytes: int
    made: float
    checksums: tuple[int, int, int]


class Templates:
    """Finds, keeps and drops them. Safe to use from several threads.

    Within `limits`: the least recently used lose their place in memory, or go.
    """

    def __init__(self, state: Path, limits: Limits) -> None:
        self.folder = state / "templates"
        self.limits = limits
        self._lock = threading.Lock()
        self._memory: dict[str, int] = {}  # the least recently used first
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def list(self) -> Sequence[Template]:
        """Those that may be used."""
        return list(self._read())

    def find(self, key: Key) -> Template | None:
        """The newest template for `key`."""
        fitting = [template for template in self._read() if template.key == key]
        return max(fitting, key=lambda template: template.made, default=None)

    def used(self, template: Template) -> tuple[int, int]:
        """The bytes that a template takes of memory and of disk."""
        with self._lock:
            descriptor = self._memory.get(template.id)
            memory = os.fstat(descriptor).st_blocks * BLOCK if descriptor is not None else 0
        return memory, self._disk_bytes(template.id)

    def disk(self, template: Template) -> Path:
        """The frozen disk that clones' disks are overlays of."""
        return self.folder / template.id / DISK

    def below(self, template: Template) -> tuple[Path, Path]:
        """What an overlay of its disk is on, nearest first."""
        return self.disk(template), self.folder.parent / chains.IMAGES / template.key.image / DISK

    def variables(self, template: Template) -> Path:
        """The firmware's variables as they were."""
        return self.folder / template.id / VARIABLES

    def open(self, template: Template) -> tuple[int, int]:
        """Descriptors of its memory and of its state, the caller's to close.

        Raises HostError for a damaged one, which is dropped, and for one that is larger than the limit.
        """
        path = self.folder / template.id
        with self._lock:
            try:
                memory, state, disk = template.checksums
                if template.id not in self._memory:
                    self._make_room(_blocks(path / RAM))
                    _check(path / DISK, disk)
                    self._memory[template.id] = load(path / RAM, template.key.memory_bytes, memory)
                self._memory[template.id] = self._memory.pop(template.id)  # the most recently used one from now on
                _check(path / STATE, state)
                read_qcow2(path / DISK)
                with suppress(FileNotFoundError):  # on trial
                    os.utime(path / DETAILS)
                return os.dup(self._memory[template.id]), os.open(path / STATE, os.O_RDONLY | os.O_CLOEXEC)
            except TooLarge:
                raise
            except (OSError, HostError) as error:
                self._drop(template.id, str(error))
                raise HostError(f"template {template.id} can't be used: {error}") from error

    def finish(self, making: Path, key: Key, mac: str) -> Template:
        """Give the files that were made in the folder `making` their place. Nobody finds them before `approve`."""
        template = Template(
            id=making.name.lstrip("."),
            key=key,
            mac=mac,
            disk_bytes=read_qcow2(making / DISK).virtual_size,
            made=time.time(),
            checksums=(crc(making / RAM), crc(making / STATE), crc(making / DISK)),
        )
        for name in (RAM, STATE, DISK):
            sync(making / name)
        making.rename(self.folder / template.id)
        sync(self.folder)
        return template

    def keep_only(self, setting: str) -> None:
        """Drop those that were made with another one: they will never be used again."""
        for template in self.list():
            if template.key.setting != setting:
                self.drop(template, f"made with {template.key.setting}; now it is {setting}")

    def approve(self, template: Template) -> None:
        """Let it be found from now on; the least recently used go when together they take too much of the disk.

        Raises TooLarge when it does so alone, and drops it.
        """
        if (size := self._disk_bytes(template.id)) > self.limits.disk_bytes:
            self.drop(template, "it is larger than the limit")
            raise TooLarge(
                f"a template of {size >> 20} MiB is over the limit of {self.limits.disk_bytes >> 20} MiB of disk"
            )
        write_atomically(self.folder / template.id / DETAILS, msgspec.json.encode(template))
        self._keep_few(template)

    def drop(self, template: Template, why: str) -> None:
        """Use it no more. Its disk stays while disks of VMs are overlays of it."""
        with self._lock:
            self._drop(template.id, why)

    def sweep(self) -> None:
        """Remove what nothing needs: unfinished ones with their guests, and dropped ones that no disk is on."""
        self.end_unfinished()
        for path in self.folder.iterdir():
            if path.name.startswith(".") or not ((path / DETAILS).exists() or self._used(path.name)):
                shutil.rmtree(path, ignore_errors=True)

    def end_unfinished(self) -> None:
        """End the guests of templates in the making, also those that a Skerry which is gone has left."""
        for folder in self.folder.glob(".*"):
            if (found := process.find_qemu(folder.name.lstrip("."))) is not None:
                process.end(found)

    def close(self) -> None:
        """Let go of the memory; clones that run keep theirs."""
        with self._lock:
            for descriptor in self._memory.values():
                os.close(descriptor)
            self._memory.clear()

    def _make_room(self, size: int) -> None:
        """Let go of the memory of others until `size` bytes fit. Clones that run keep theirs."""
        most = self.limits.memory_bytes
        if size > most:
            raise TooLarge(f"a template of {size >> 20} MiB is over the limit of {most >> 20} MiB of memory")
        while self._memory and size + sum(os.fstat(fd).st_blocks * BLOCK for fd in self._memory.values()) > most:
            os.close(self._memory.pop(next(iter(self._memory))))

    def _disk_bytes(self, identifier: str) -> int:
        with suppress(FileNotFoundError):
            return sum(_blocks(path) for path in (self.folder / identifier).iterdir())
        return 0

    def _read(self) -> Iterator[Template]:
        for path in self.folder.glob(f"[!.]*/{DETAILS}"):
            try:
                yield msgspec.json.decode(path.read_bytes(), type=Template)
            except (OSError, msgspec.DecodeError) as error:
                with self._lock:
                    self._drop(path.parent.name, f"{path} can't be read: {error}")

    def _keep_few(self, newest: Template) -> None:
        """One per key, and no more than the disk's limit."""
        others = [template for template in self._read() if template.id != newest.id]
        others.sort(key=lambda t: (self.folder / t.id / DETAILS).stat().st_mtime, reverse=True)
        taken = self._disk_bytes(newest.id)
        for template in others:
            taken += self._disk_bytes(template.id)
            if template.key == newest.key or taken > self.limits.disk_bytes:
                self.drop(template, "a newer one took its place")

    def _drop(self, identifier: str, why: str) -> None:
        log.info("template dropped", template=identifier, reason=why)
        if (descriptor := self._memory.pop(identifier, None)) is not None:
            os.close(descriptor)
        path = self.folder / identifier
        for name in (DETAILS, RAM, STATE):
            with suppress(FileNotFoundError):
                (path / name).unlink()
        if not self._used(identifier):
            shutil.rmtree(path, ignore_errors=True)

    def _used(self, identifier: str) -> bool:
        """Whether a disk is an overlay of the template's; so too where a disk can't be read, and nobody knows."""
        try:
            return (self.folder / identifier / DISK).absolute() in chains.overlays(self.folder.parent)
        except HostError as error:
            log.warning("a template's disk is kept: other disks may be on it", template=identifier, error=str(error))
            return True


def _check(path: Path, checksum: int) -> None:
    if crc(path) != checksum:
        raise HostError(f"{path} is damaged")


def _blocks(path: Path) -> int:
    """The bytes that a file takes, holes left out."""
    return path.stat().st_blocks * BLOCK
