"""Build an image, or hand out the one that was built before."""

import hashlib
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from skerry.host.errors import HostError
from skerry.imagebuilder import cache, disk, rootfs
from skerry.imagebuilder.errors import BuildError, DiskFull
from skerry.imagebuilder.recipes import Recipe, recipe

Progress = Callable[[str, float], None]


def built(name: str, cache_folder: Path) -> Path | None:
    """The finished image of `name` in that cache, or None if it would have to be built."""
    folder = cache_folder / "images" / recipe(name).image_id()
    return folder if (folder / "image.json").exists() else None


def build(name: str, cache_folder: Path, progress: Progress) -> Path:
    """The folder with `disk.qcow2` and `image.json` of the image `name`; built if the recipe changed or is new.

    `progress(step, fraction)` is called with the fraction (0 to 1) of the whole. A second build of the same name
    waits for the first and takes its result. Raises BuildError; nothing half-made is left under a final name.
    """
    wanted = recipe(name)
    if found := built(wanted.name, cache_folder):
        return found
    images = cache_folder / "images"
    try:
        with cache.locked(images, wanted.name):
            return built(wanted.name, cache_folder) or _build(wanted, images, progress)
    except (HostError, OSError) as error:
        raise _explained(wanted, error) from error


def _build(wanted: Recipe, images: Path, progress: Progress) -> Path:
    final = images / wanted.image_id()
    with cache.staging(images, wanted.name) as stage, cache.workspace() as work:
        tar = rootfs.make(wanted, work, lambda fraction: progress("installing packages", 0.75 * fraction))
        progress("making the file system", 0.75)
        root = disk.format_root(tar, work, wanted.size_bytes)
        tar.unlink()
        progress("installing the boot loaders", 0.85)
        raw = disk.assemble(root, work, wanted.size_bytes)
        progress("compressing", 0.87)
        disk.compress(raw, stage / "disk.qcow2")
        progress("writing it down", 0.99)
        (stage / "image.json").write_bytes(
            orjson.dumps(describe(wanted, stage / "disk.qcow2"), option=orjson.OPT_INDENT_2)
        )
        _publish(stage, final)
    progress("done", 1.0)
    return final


def describe(wanted: Recipe, qcow2: Path) -> dict[str, Any]:
    """image.json: the fields of hostspec.ImageObserved, and the file's format, virtual size and SHA-256.

    The version has Azure's form `0.YYYYMMDD.N`, from the time of the build: the later of two on one day is the newer.
    """
    now = datetime.now(UTC)
    with qcow2.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "id": wanted.image_id(),
        "publisher": wanted.publisher,
        "offer": wanted.offer,
        "sku": wanted.sku,
        "version": f"0.{now:%Y%m%d}.{int(f'{now:%H%M%S}')}",
        "os_type": "Linux",
        "generation": "V2",
        "architecture": "x64",
        "size_bytes": wanted.size_bytes,
        "alias": wanted.alias,
        "description": wanted.description,
        "format": "qcow2",
        "sha256": digest,
        "built": int(time.time()),
    }


def _publish(stage: Path, final: Path) -> None:
    """Make `stage`'s content durable, then give it its final name in one step."""
    stage.chmod(0o755)
    for path in (*stage.iterdir(), stage):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    stage.rename(final)


def _explained(wanted: Recipe, error: Exception) -> BuildError:
    if "No space left on device" in str(error):
        return DiskFull(f"the disk filled up while {wanted.name} was built; nothing was kept. Make room and try again")
    return BuildError(f"{wanted.name} was not built, nothing was kept: {error}")
