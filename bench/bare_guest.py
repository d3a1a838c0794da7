"""A QEMU started by hand: Skerry's own command line for a guest, with files where Skerry passes descriptors.

What stays is everything the guest sees: machine, processor, memory, firmware, devices and their places, the image and
the size of the disk. What changes: descriptors become paths, the TAP becomes user networking with a forwarded port,
and the provisioning CD and script become a cloud-init seed, so the mark by which cloud-init knows Azure goes.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import orjson
from pycdlib.pycdlib import PyCdlib

from bench.processes import end, run
from skerry.host.compute.qemu.cgroups import Cgroups
from skerry.host.compute.qemu.firmware import CODE, TEMPLATE

BINARY = "qemu-system-x86_64"
_FLAGS = ("-nodefaults", "-no-user-config")
_DESCRIPTOR = re.compile(r"\bfd=\d+")
_LOG = re.compile(r"logfile=[^,]*")


@dataclass(frozen=True)
class Recipe:
    """One of Skerry's guests, to start again by hand.

    `image` is the file at the bottom of its disk, `size` the disk's bytes; `phases` are a warm start's.
    """

    argv: tuple[str, ...]
    pid: int
    vcpus: int
    memory: int
    image: Path
    size: int
    phases: Mapping[str, float]

    @classmethod
    def of(cls, state: Path, vm: str) -> "Recipe":
        """From what Skerry stored of the VM with this vmId, while its disk is there."""
        record = orjson.loads((state / "vms" / vm / "argv.json").read_bytes())
        disk = state / "disks" / f"{record['disks'][0]}.qcow2"
        chain = orjson.loads(
            run(["qemu-img", "info", "-U", "--backing-chain", "--output=json", disk], timeout=60).output
        )
        process = tuple(record["argv"]), record["pid"], record["vcpus"], record["memory_bytes"]
        return cls(*process, Path(chain[-1]["filename"]), chain[0]["virtual-size"], record["phases"])


def argv(words: Sequence[str], folder: Path, files: dict[str, Path], port: int) -> list[str]:
    """The command line with `files` by block node, sockets in `folder`, and SSH on 127.0.0.1:`port`."""
    begin = next(index for index, word in enumerate(words) if Path(word).name == BINARY)
    found = [words[begin]]
    rest = iter(words[begin + 1 :])
    for word in rest:
        if not word.startswith("-"):
            raise ValueError(f"{word!r} is no option")
        found += _option(word, next(rest), folder, files, port) if word not in _FLAGS else [word]
    return found


def _option(word: str, value: str, folder: Path, files: dict[str, Path], port: int) -> list[str]:
    match word:
        case "-add-fd" | "-fw_cfg":
            return []
        case "-smbios" if value.startswith("type=3,"):
            return []
        case "-chardev":
            name = value.partition("id=")[2].partition(",")[0]
            value = _DESCRIPTOR.sub(f"path={folder / name}.sock", value)
            value = _LOG.sub(f"logfile={folder / 'serial.log'}", value)
        case "-netdev":
            value = f"user,id=net0,hostfwd=tcp:127.0.0.1:{port}-:22"
        case "-blockdev":
            node = json.loads(value)
            if node["driver"] == "file":
                value = json.dumps({**node, "filename": str(files[node["node-name"]])})
    return [word, value]


class Ended(Exception):
    """The QEMU started by hand is gone; says what it printed."""


class BareGuest:
    """A QEMU started by hand."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def check(self) -> None:
        """Raises Ended."""
        if self._process.poll() is not None:
            assert self._process.stderr is not None
            raise Ended(f"the QEMU started by hand ended: {self._process.stderr.read().decode(errors='replace')}")


@contextmanager
def bare_guest(words: Sequence[str], recipe: Recipe) -> Iterator[BareGuest]:
    """The guest from QEMU's start on, ended with the block.

    It gets the limits of Skerry's guests, and so their weight: other work on the machine slows both alike.
    """
    limits, group = Cgroups(), "bench-by-hand"
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            limits.limit(group, process.pid, recipe.memory, recipe.vcpus)
            yield BareGuest(process)
        finally:
            end(process)
            limits.remove(group)


def prepare(recipe: Recipe, folder: Path, key: str, user: str, port: int) -> list[str]:
    """A fresh disk, seed and firmware variables in `folder`, and the command line that uses them."""
    files = {
        "os-file": folder / "disk.qcow2",
        "os-1-file": recipe.image,
        "cd": folder / "seed.iso",
        "code": CODE,
        "variables": folder / "variables.fd",
    }
    create = ["qemu-img", *["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]]
    run([*create, recipe.image, files["os-file"], str(recipe.size)], timeout=60)
    files["cd"].write_bytes(seed(user, key))
    shutil.copyfile(TEMPLATE, files["variables"])
    return argv(recipe.argv, folder, files, port)


def seed(user: str, key: str) -> bytes:
    """A CD by which cloud-init makes `user` with `key`, as Skerry's own does.

    Source: https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
    """
    account = {"name": user, "shell": "/bin/bash", "sudo": "ALL=(ALL) NOPASSWD:ALL", "ssh_authorized_keys": [key]}
    texts = {
        "meta-data": json.dumps({"instance-id": "by-hand", "local-hostname": "by-hand"}),
        "user-data": f"#cloud-config\n{json.dumps({'users': [account]})}",
    }
    iso, image = PyCdlib(), BytesIO()
    iso.new(interchange_level=3, rock_ridge="1.09", joliet=3, vol_ident="cidata")
    for number, (name, text) in enumerate(texts.items()):
        data = text.encode()
        iso.add_fp(BytesIO(data), len(data), f"/FILE{number}.;1", rr_name=name, joliet_path=f"/{name}")
    iso.write_fp(image)
    iso.close()
    return image.getvalue()
