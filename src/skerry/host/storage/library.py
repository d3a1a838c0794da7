"""The image library of one state folder.

    STATE/images/ID/{disk.qcow2,image.json}   one image, complete: the folder appears by a rename
    STATE/images/aliases.json                 marketplace URN → ID, for scripts that ask for images by Azure's names
    STATE/images/.*                           locks and unfinished work

The folder's own time stamp changes with each of these, so an unchanged library costs one stat.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import orjson
import structlog

from skerry.host.errors import HostError, Refused
from skerry.host.files import sync
from skerry.host.storage import chains, names, qemu_img
from skerry.host.storage.files import appearing
from skerry.host.storage.headers import Format, inspect
from skerry.hostspec import ImageObserved

log = structlog.get_logger()

# Two changes within the file system's clock tick look like one; a younger listing isn't trusted twice.
_SETTLED_NS = 100_000_000
# No import takes as long: a work folder that old was left by a kill.
_DEAD_SECONDS = 86400


class Library:
    """Images by id, name (alias) or URN. Safe to use from several processes at once."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "images"
        self.disks = state / "disks"
        self._listed: tuple[int, list[ImageObserved]] | None = None

    def list(self) -> Sequence[ImageObserved]:
        """Every image, sorted by id. A folder that can't be read as an image is logged and left out."""
        try:
            stamp = self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            return []
        if self._listed and self._listed[0] == stamp:
            return self._listed[1]
        urns = self._urns()
        found = [image for path in sorted(self.folder.glob("[!.]*/image.json")) if (image := _read(path, urns))]
        self._listed = (stamp, found) if time.time_ns() - stamp > _SETTLED_NS else None
        return found

    def find(self, name: str) -> ImageObserved | None:
        """By id, alias, its own URN (with a version or `latest`) or a URN that `alias` set; case doesn't matter."""
        wanted = name.lower()
        return next((image for image in self.list() if wanted in _names(image)), None)

    def path(self, id: str) -> Path:
        """The image's qcow2 file, absolute. Raises HostError if it isn't here."""
        path = (self.folder / names.image_id(id) / "disk.qcow2").absolute()
        if not path.exists():
            raise HostError(f"image {id} is not in this host's library: `skerry image list` shows what is")
        return path

    def add_built(self, folder: Path) -> ImageObserved:
        """Take over an image that the builder made; its file is shared with the cache where both are on one disk."""
        try:
            details = orjson.loads((folder / "image.json").read_bytes())
            image = msgspec.convert(details, ImageObserved)
        except (OSError, ValueError) as error:
            raise Refused(f"{folder} holds no built image: {error}") from error
        final = self.folder / names.image_id(image.id)
        header = inspect(folder / "disk.qcow2", "qcow2")
        if header.virtual_size != image.size_bytes:
            raise Refused(
                f"{folder} is damaged: image.json says {image.size_bytes} bytes, its disk {header.virtual_size}"
            )
        with self._changing():
            if not final.exists():
                with self._staging() as stage:
                    _share(folder / "disk.qcow2", stage / "disk.qcow2")
                    _finish(stage, details, final)
        return self._get(image.id)

    def import_file(
        self,
        path: Path,
        name: str,
        *,
        declared: Format | None = None,
        os_type: Literal["Linux", "Windows"] = "Linux",
        generation: Literal["V1", "V2"] = "V2",
        description: str = "",
    ) -> ImageObserved:
        """Check a qcow2, raw or fixed VHD file and copy the disk in it into the library as `name`.

        Raises Refused for a name that is taken and for every file that `headers.inspect` turns down.
        """
        names.imported_name(name)
        self._refuse_taken(name)
        header = inspect(path, declared)
        if header.format == "qcow2":
            qemu_img.check(path)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._staging() as stage:
            qemu_img.convert(path, header, stage / "disk.qcow2")
            image = ImageObserved(
                id="",
                publisher="skerry",
                offer="imported",
                sku=name,
                version="1.0.0",
                os_type=os_type,
                generation=generation,
                size_bytes=header.virtual_size,
                alias=name,
                description=description or f"imported from {path.name}",
            )
            return self._publish(stage, image)

    def alias(self, urn: str, name: str) -> ImageObserved:
        """From now on `urn` leads to the image that is called `name` now. Raises Refused."""
        names.urn(urn)
        with self._changing():
            image = self._known(name)
            if (own := self.find(urn)) and urn.lower() in _own_names(own):
                raise Refused(f"{urn} is the name of an image that is here; it can't lead to another one")
            urns = {known: id for known, id in self._urns().items() if known.lower() != urn.lower()}
            self._write_urns({**urns, urn: image.id})
        return self._get(image.id)

    def remove(self, name: str, in_use: Collection[str] = ()) -> ImageObserved:
        """Remove an image and its URNs; returns what it was. Raises Refused while a disk is made from it.

        `in_use`: ids of images that must stay, besides those that disks of this state folder are overlays of.
        """
        with self._changing():
            image = self._known(name)
            if image.id in in_use or image.id in self.backing_disks():
                raise Refused(f"image {name} is in use: delete the disks that were made from it first")
            self._write_urns({urn: id for urn, id in self._urns().items() if id != image.id})
            with tempfile.TemporaryDirectory(prefix=".gone-", dir=self.folder) as trash:
                (self.folder / image.id).rename(Path(trash) / image.id)
                sync(self.folder)
        return image

    def backing_disks(self) -> set[str]:
        """Ids of the images that disks, templates and checkpoints of this state folder are overlays of."""
        used = chains.overlays(self.folder.parent)
        return {path.parent.name for path in used if path.parent.parent.name == chains.IMAGES}

    def _known(self, name: str) -> ImageObserved:
        if image := self.find(name):
            return image
        raise Refused(f"no image is called {name!r}: `skerry image list` shows what is here")

    def _get(self, id: str) -> ImageObserved:
        return next(image for image in self.list() if image.id == id)

    def _refuse_taken(self, name: str) -> None:
        if self.find(name):
            raise Refused(f"an image called {name!r} is here already: remove it first, or choose another name")

    def _publish(self, stage: Path, image: ImageObserved) -> ImageObserved:
        digest = _sha256(stage / "disk.qcow2")
        image = msgspec.structs.replace(image, id=f"{image.alias.lower()}-{digest[:12]}")
        details = {**msgspec.to_builtins(image), "format": "qcow2", "sha256": digest, "built": int(time.time())}
        with self._changing():
            self._refuse_taken(image.alias)
            _finish(stage, details, self.folder / names.image_id(image.id))
        return self._get(image.id)

    def _urns(self) -> dict[str, str]:
        try:
            return msgspec.json.decode((self.folder / "aliases.json").read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except ValueError as error:
            log.warning("aliases.json can't be read; the image library goes on without it", error=str(error))
            return {}

    def _write_urns(self, urns: dict[str, str]) -> None:
        with appearing(self.folder / "aliases.json") as path:
            path.write_bytes(orjson.dumps(urns, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        for left in (*self.folder.glob(".new-*"), *self.folder.glob(".gone-*")):
            if time.time() - left.stat().st_mtime > _DEAD_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=self.folder, ignore_cleanup_errors=True) as folder:
            yield Path(folder)


def _read(path: Path, urns: dict[str, str]) -> ImageObserved | None:
    try:
        image = msgspec.json.decode(path.read_bytes(), type=ImageObserved)
    except (OSError, ValueError) as error:
        log.warning("not an image", path=str(path), error=str(error))
        return None
    if image.id != path.parent.name:
        log.warning("not an image: the id in image.json is not the folder's name", path=str(path), id=image.id)
        return None
    return msgspec.structs.replace(image, aliases=tuple(sorted(urn for urn, id in urns.items() if id == image.id)))


def _own_names(image: ImageObserved) -> set[str]:
    urn = f"{image.publisher}:{image.offer}:{image.sku}"
    return {name.lower() for name in (image.id, image.alias, f"{urn}:{image.version}", f"{urn}:latest") if name}


def _names(image: ImageObserved) -> set[str]:
    return _own_names(image) | {urn.lower() for urn in image.aliases}


def _share(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _finish(stage: Path, details: dict[str, Any], final: Path) -> None:
    (stage / "image.json").write_bytes(orjson.dumps(details, option=orjson.OPT_INDENT_2))
    stage.chmod(0o755)
    for path in (stage / "disk.qcow2", stage / "image.json", stage):
        sync(path)
    stage.rename(final)
    sync(final.parent)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
