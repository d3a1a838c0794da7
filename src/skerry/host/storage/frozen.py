"""What disks held when a checkpoint was made: files that nobody writes to any more, below those that go on.

    STATE/frozen/TOKEN.DISK.qcow2   what the disk's file was until then
    STATE/disks/DISK.qcow2          an empty overlay of it from then on
    STATE/disks/.DISK.qcow2.TOKEN   that overlay, until it gets its name

A token stands for one attempt to make a checkpoint; the checkpoint's file has it.
A guest's QEMU writes on to the frozen file until it is told to change over. Should it end before, a new one reads the
same through the overlay. A file goes when its checkpoint is gone and nothing is an overlay of it any more.
"""

import os
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec
import structlog

from skerry.host.errors import HostError
from skerry.host.files import sync
from skerry.host.storage import chains, names, qemu_img, rules
from skerry.host.storage.headers import holds_data, read_qcow2
from skerry.hostspec import CheckpointedDisk

log = structlog.get_logger()

CHECKPOINT, MAKING = "checkpoint.json", "making.json"
"""In STATE/checkpoints/ID: all that it holds is kept, or is being made."""


class _Token(msgspec.Struct):
    """The part of both that matters here."""

    token: str


class Frozen:
    """The frozen files of one state folder."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.folder, self._disks = state / chains.FROZEN, state / chains.DISKS
        self.lock = threading.Lock()
        """Held while an overlay of a frozen file is made, and while files that nothing needs are removed."""
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def path(self, token: str, disk: str) -> Path:
        """The frozen file."""
        return self.folder / f"{names.checkpoint_id(token)}.{names.disk_id(disk)}.qcow2"

    def of(self, origin: CheckpointedDisk) -> Path:
        """The frozen file of a checkpoint that is whole. Raises HostError when it isn't here."""
        found = self._tokens(f"{names.checkpoint_id(origin.checkpoint)}/{CHECKPOINT}")
        for token in found:
            path = self.path(token, origin.disk)
            if path.exists():
                return path.absolute()
        raise HostError(rules.no_origin(origin))

    def prepare(self, token: str, disk: str) -> Path:
        """Give the disk's file its second name, and make the overlay; its path. Raises HostError."""
        file, frozen, overlay = self._disk(disk), self.path(token, disk), self._overlay(token, disk)
        if not file.exists():
            raise HostError(f"disk {disk} is not on this host")
        size = read_qcow2(file).virtual_size
        os.link(file, frozen)
        qemu_img.create(overlay, size, chains.relative(frozen), unseen=True)
        overlay.chmod(0o600)
        sync(overlay)
        sync(self.folder)
        return overlay

    def switch(self, token: str, disks: Iterable[str]) -> None:
        """Let the overlays be the disks for whoever opens them from now on."""
        for disk in disks:
            self._overlay(token, disk).rename(self._disk(disk))
        sync(self._disks)

    def undo(self, token: str, disks: Iterable[str]) -> None:
        """Let the files be the disks again. Nobody has written to an overlay."""
        for disk in disks:
            frozen, file = self.path(token, disk), self._disk(disk)
            self._overlay(token, disk).unlink(missing_ok=True)
            if not frozen.exists():
                continue
            if file.exists() and file.samefile(frozen):  # renaming one to the other would do nothing
                frozen.unlink()
            elif file.exists() and chains.backing(self._state, file) == frozen.absolute():
                frozen.rename(file)
        sync(self._disks)
        sync(self.folder)

    def written(self, token: str, disks: Iterable[str]) -> bool:
        """Whether anybody has written to an overlay, so that there is no undoing."""
        return any(
            chains.backing(self._state, self._disk(disk)) == self.path(token, disk).absolute()
            and holds_data(self._disk(disk))
            for disk in disks
            if self._disk(disk).exists()
        )

    def kept(self) -> set[str]:
        """The tokens of all checkpoints, whole or in the making. Raises HostError when one can't be read."""
        return self._tokens("*")

    def sweep(self) -> None:
        """Remove the files of checkpoints that are gone, but for those that something is an overlay of."""
        with self.lock:
            while gone := self._needless():
                for path in gone:
                    log.info("removed what a checkpoint's disk held", file=path.name)
                    path.unlink()
                sync(self.folder)

    def _needless(self) -> list[Path]:
        """Those to remove now; what they were overlays of may follow. None where a file can't be read."""
        try:
            used, kept = chains.overlays(self._state), self.kept()
        except (HostError, OSError) as error:
            log.warning("what checkpoints' disks held is kept, for nobody knows what needs it", error=str(error))
            return []
        every = (path.absolute() for path in self.folder.glob("[!.]*.qcow2"))
        return [path for path in every if path not in used and path.name.split(".")[0] not in kept]

    def _tokens(self, which: str) -> set[str]:
        """Those of the checkpoints, whole or in the making, that match. Raises HostError when one can't be read."""
        folders = which if "/" in which else f"[!.]*/{which}"
        found = [path for path in self._state.glob(f"checkpoints/{folders}") if path.name in (CHECKPOINT, MAKING)]
        try:
            return {msgspec.json.decode(path.read_bytes(), type=_Token).token for path in found}
        except msgspec.DecodeError as error:
            raise HostError(f"a checkpoint's file is damaged: {error}") from error

    def _disk(self, disk: str) -> Path:
        return self._disks / f"{names.disk_id(disk)}.qcow2"

    def _overlay(self, token: str, disk: str) -> Path:
        return self._disks / f".{names.disk_id(disk)}.qcow2.{names.checkpoint_id(token)}"
