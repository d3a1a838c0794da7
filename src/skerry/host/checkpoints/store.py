"""The checkpoints of one state folder.

    STATE/checkpoints/ID/making.json        being made, or left so by a kill: undone before anything else happens
    STATE/checkpoints/ID/checkpoint.json    whole
    STATE/checkpoints/ID/{ram,state}        the running machine: memory as a sparse file, and the rest
    STATE/checkpoints/ID/OVMF_VARS.fd       the firmware's variables
    STATE/checkpoints/.ID                   being removed
    STATE/frozen/TOKEN.DISK.qcow2           what its disks held (storage/frozen.py)

Memory is given to QEMU as a sealed memfd: all forks share its pages. It is loaded at the first use, and kept for the
next.
"""

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from skerry.host.compute.qemu.firmware import VARIABLES
from skerry.host.errors import HostError
from skerry.host.files import sync, write_atomically
from skerry.host.storage import names
from skerry.host.storage.frozen import CHECKPOINT, MAKING
from skerry.host.warm.memory import crc, load
from skerry.hostspec import CheckpointObserved

log = structlog.get_logger()

RAM, STATE = "ram", "state"
MOST_LOADED = 2
"""Of checkpoints' memories; the one that was loaded first goes. Guests that run on it keep it."""


class Making(msgspec.Struct, frozen=True):
    """A checkpoint in the making. `token`: of its frozen files, and its overlays in QEMU.

    `receiver`: the id of the QEMU that takes the memory over. `pid`: of the guest's QEMU; 0 for one that doesn't run.
    """

    id: str
    vm: str
    disks: tuple[str, ...]
    token: str
    receiver: str
    pid: int


class Kept(msgspec.Struct, frozen=True):
    """The machine in memory: only one like it can continue from it. `luns` and `sizes` (bytes) are of its disks.

    `setting`: accelerator and QEMU's version. `agent`: a guest agent answered. `checksums`: of memory and state.
    """

    machine: str
    setting: str
    vcpus: int
    memory_bytes: int
    firmware: Literal["bios", "uefi"]
    macs: tuple[str, ...]
    disks: tuple[str, ...]
    luns: tuple[int | None, ...]
    sizes: tuple[int, ...]
    reporting: bool
    agent: bool
    checksums: tuple[int, int]


class Checkpoint(msgspec.Struct, frozen=True):
    """A checkpoint as its file describes it. `token`: of its frozen files. Seconds, bytes: as in CheckpointObserved."""

    id: str
    vm: str
    disks: tuple[str, ...]
    token: str
    made: float
    pause_seconds: float = 0.0
    disk_pause_seconds: float = 0.0
    size_bytes: int = 0
    kept: Kept | None = None

    def observed(self) -> CheckpointObserved:
        """As it is reported."""
        return CheckpointObserved(
            self.id,
            ready=True,
            memory=self.kept is not None,
            size_bytes=self.size_bytes,
            pause_seconds=round(self.pause_seconds, 4),
            disk_pause_seconds=round(self.disk_pause_seconds, 4),
        )


class CheckpointStore:
    """Finds and keeps them. Safe to use from several threads."""

    def __init__(self, state: Path) -> None:
        self._root = state / "checkpoints"
        self._root.mkdir(mode=0o700, exist_ok=True)
        self._lock = threading.Lock()
        self._memory: dict[str, int] = {}
        for left in self._root.glob(".*"):
            shutil.rmtree(left, ignore_errors=True)

    def folder(self, checkpoint: str) -> Path:
        """Where its files are."""
        return self._root / names.checkpoint_id(checkpoint)

    def list(self) -> Iterator[Checkpoint]:
        """Every whole one. One whose file can't be read is logged and left out."""
        for path in sorted(self._root.glob(f"[!.]*/{CHECKPOINT}")):
            try:
                yield msgspec.json.decode(path.read_bytes(), type=Checkpoint)
            except (OSError, msgspec.DecodeError) as error:
                log.warning("not a checkpoint", path=str(path), error=str(error))

    def find(self, checkpoint: str) -> Checkpoint:
        """A whole one. Raises HostError."""
        try:
            return msgspec.json.decode((self.folder(checkpoint) / CHECKPOINT).read_bytes(), type=Checkpoint)
        except (OSError, msgspec.DecodeError) as error:
            raise HostError(f"checkpoint {checkpoint} is not on this host, or damaged") from error

    def begin(self, making: Making) -> Path:
        """Note durably that it is being made; its folder."""
        folder = self.folder(making.id)
        folder.mkdir(mode=0o700, exist_ok=True)
        write_atomically(folder / MAKING, msgspec.json.encode(making))
        sync(self._root)
        return folder

    def unfinished(self) -> Sequence[Making]:
        """Those that were being made when they were last heard of."""
        found = []
        for path in self._root.glob(f"[!.]*/{MAKING}"):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Making))
            except (OSError, msgspec.DecodeError) as error:
                log.warning("an unfinished checkpoint can't be read and is left", path=str(path), error=str(error))
        return found

    def finish(self, checkpoint: Checkpoint) -> None:
        """It is whole from now on, also after a power cut."""
        folder = self.folder(checkpoint.id)
        for name in (RAM, STATE, VARIABLES):
            if (folder / name).exists():
                sync(folder / name)
        write_atomically(folder / CHECKPOINT, msgspec.json.encode(checkpoint))
        (folder / MAKING).unlink()
        sync(folder)

    def remove(self, checkpoint: str) -> None:
        """Use it no more, and remove its folder. Guests that run on its memory keep that."""
        with self._lock:
            if (descriptor := self._memory.pop(checkpoint, None)) is not None:
                os.close(descriptor)
        folder = self.folder(checkpoint)
        if folder.exists():
            trash = folder.with_name(f".{folder.name}")
            folder.rename(trash)
            sync(self._root)
            shutil.rmtree(trash)

    def open(self, checkpoint: Checkpoint) -> tuple[int, int]:
        """Descriptors of its memory and of its state, the caller's to close. Raises HostError for a damaged one."""
        folder, kept = self.folder(checkpoint.id), checkpoint.kept
        assert kept is not None
        try:
            with self._lock:
                if checkpoint.id not in self._memory:
                    while len(self._memory) >= MOST_LOADED:
                        os.close(self._memory.pop(next(iter(self._memory))))
                    self._memory[checkpoint.id] = load(folder / RAM, kept.memory_bytes, kept.checksums[0])
                if crc(folder / STATE) != kept.checksums[1]:
                    raise HostError(f"{folder / STATE} is damaged")
                state = os.open(folder / STATE, os.O_RDONLY | os.O_CLOEXEC)
                return os.dup(self._memory[checkpoint.id]), state
        except OSError as error:
            raise HostError(f"the memory of checkpoint {checkpoint.id} can't be read: {error.strerror}") from error

    def variables(self, checkpoint: str) -> Path | None:
        """The firmware's variables as they were; None for a BIOS."""
        path = self.folder(checkpoint) / VARIABLES
        return path if path.exists() else None

    def close(self) -> None:
        """Let go of the memory; guests that run on it keep it."""
        with self._lock:
            for descriptor in self._memory.values():
                os.close(descriptor)
            self._memory.clear()
