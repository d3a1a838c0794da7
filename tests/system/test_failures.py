"""What a host can refuse: each gives a failed operation with its cause, and goes on once the cause is gone.

Skerry itself runs on through all of them.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.system.cloud import free_port, until
from tests.system.real import Real, address, vm_path

from skerry.host.compute.qemu import process
from skerry.host.network import netns

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as Skerry's default mode does"),
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """A Skerry whose state folder is a file system of its own, of 48 MiB."""
    folder = tmp_path_factory.mktemp("failures")
    (folder / "state").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=711", "none", str(folder / "state")], check=True)
    try:
        real = Real(folder, free_port())
        real.up()
        real.network()
        yield real
        real.skerry("down", check=False)
    finally:
        subprocess.run(["umount", "--lazy", str(folder / "state")], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """A file system without a free block."""
    with (folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while filler.write(b"\0" * size):
                    pass
    try:
        yield
    finally:
        (folder / "filler").unlink()


@contextmanager
def aside(path: Path) -> Iterator[None]:
    """As if it weren't there."""
    other = path.with_name(f"{path.name}.aside")
    path.rename(other)
    try:
        yield
    finally:
        other.rename(path)


def test_a_full_state_folder(real: Real, nic: str) -> None:
    vm = real.create(nic)
    (qemu,) = real.qemus(vm)
    with full(real.state):
        error = real.fails("PUT", "/providers/Microsoft.Network/publicIPAddresses/more", address())
        assert "full" in str(error)
        assert "once that is mended" in str(error)
        assert real.get(vm_path())["name"] == "vm"
        assert "Make room" in real.skerry("down", check=False)
        os.kill(qemu, signal.SIGKILL)
        until(lambda: process.look_up(qemu) is None, 20, "QEMU is gone")
    until(lambda: bool(real.qemus(vm)), 60, "the VM is started again")
    until(lambda: real.power() == "running", 60, "reports are stored again")
    real.done("PUT", "/providers/Microsoft.Network/publicIPAddresses/more", address())


def test_a_disk_that_is_gone_is_never_made_anew(real: Real, nic: str) -> None:
    vm = real.create(nic)
    real.power_off()
    (disk,) = real.record(vm).disks
    path = real.state / "disks" / f"{disk}.qcow2"
    with aside(path):
        assert "Bring it back from a copy" in str(real.fails("POST", f"{vm_path()}/start"))
        assert not path.exists()
    real.done("POST", f"{vm_path()}/start")
    assert real.power() == "running"


def test_an_image_that_is_gone(real: Real, nic: str) -> None:
    (image,) = (real.state / "images").glob("mini-*/disk.qcow2")
    with aside(image):
        error = real.fails("PUT", vm_path(), real.from_image(nic))
        assert "skerry image list" in str(error)
    real.done("POST", f"{vm_path()}/start")
    assert real.power() == "running"


def test_a_read_only_state_folder(real: Real) -> None:
    real.down()
    subprocess.run(["mount", "-o", "remount,ro", str(real.state)], check=True)
    try:
        assert "Read-only file system" in real.skerry("up", "--detach", "--port", str(real.port), check=False)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(real.state)], check=True)
    real.up()


def test_a_removed_state_folder_ends_skerry(tmp_path: Path) -> None:
    real = Real(tmp_path, free_port())
    real.up()
    vm = real.create(real.network())
    pid, (qemu,) = real.pid, real.qemus(vm)
    shutil.rmtree(real.state)
    until(lambda: process.look_up(pid) is None, 60, "Skerry ends")
    assert process.look_up(qemu)
    real.state.mkdir()
    real.down()
    assert real.qemus(vm) == []
    assert netns.names(real.names.prefix) == []
    assert not real.names.runtime.exists()
