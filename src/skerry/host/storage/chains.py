"""Which file is an overlay of which. Names in headers are relative, so that a state folder can be moved:

disks/DISK.qcow2, frozen/TOKEN.DISK.qcow2 → ../images/IMAGE/disk.qcow2, ../templates/TEMPLATE/disk.qcow2
                                                 or ../frozen/TOKEN.DISK.qcow2
templates/TEMPLATE/disk.qcow2                  → ../../images/IMAGE/disk.qcow2
"""

import os
from collections import Counter
from pathlib import Path

from skerry.host.errors import HostError
from skerry.host.storage import names
from skerry.host.storage.headers import read_qcow2

DISKS, FROZEN, TEMPLATES, IMAGES = "disks", "frozen", "templates", "images"
DISK = "disk.qcow2"


def layers(state: Path, path: Path) -> list[Path]:
    """The files below a disk's file, nearest first, absolute. Raises HostError where one is missing or isn't ours."""
    found: list[Path] = []
    below = backing(state, path)
    while below is not None:
        if not below.exists():
            raise HostError(f"{below} is missing, which {found[-1] if found else path} needs")
        if below in found:
            raise HostError(f"{path} is an overlay of itself")
        found.append(below)
        below = backing(state, below)
    return found


def backing(state: Path, path: Path) -> Path | None:
    """The file that `path` is an overlay of. A header that names any other file isn't ours and is refused."""
    name = read_qcow2(path).backing
    if name is None:
        return None
    below = Path(os.path.normpath(path.absolute().parent / name))
    match below.parts[len(state.absolute().parts) :]:
        case ("images", image, "disk.qcow2"):
            names.image_id(image)
        case ("templates", template, "disk.qcow2"):
            names.template_id(template)
        case ("frozen", file):
            names.frozen_file(file)
        case _:
            raise HostError(f"{path} names {name!r} as its backing file, which is no image of the library")
    if not below.is_relative_to(state.absolute()):
        raise HostError(f"{path} names {name!r} as its backing file, which is no image of the library")
    return below


def overlays(state: Path) -> Counter[Path]:
    """How many files are overlays of each file. Raises HostError where one can't be read: then nobody knows."""
    patterns = (f"{DISKS}/[!.]*.qcow2", f"{FROZEN}/[!.]*.qcow2", f"{TEMPLATES}/*/{DISK}")
    found = (backing(state, path) for pattern in patterns for path in state.glob(pattern))
    return Counter(below for below in found if below is not None)


def relative(below: Path) -> str:
    """How a disk's header names the file below it."""
    return f"../{below.parent.name}/{below.name}" if below.parent.name == FROZEN else _in_folder(below)


def _in_folder(below: Path) -> str:
    return "/".join(("..", *below.parts[-3:]))
