"""A host that turns against a running Skerry: QEMU that doesn't start, cgroups and folders that can't be written, too
few open files, damaged images, a clock that is set. What needs it fails with its cause, and goes on once that is gone.

The server runs in a mount namespace of its own, in which things are hidden from it alone. An operation gives its host
fifteen seconds before it fails: this is `make test-kills`.
"""

import os
import re
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.system.cloud import SKERRY, free_port, until
from tests.system.real import Real, vm_path

from skerry.host.compute.qemu import cgroups

pytestmark = [
    pytest.mark.kills,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as Skerry's default mode does"),
]
QEMU = "/usr/bin/qemu-system-x86_64"
CLOCK = Path(__file__).with_name("clock")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    real = Real(tmp_path_factory.mktemp("refusals"), free_port(), alone=True)
    real.up()
    yield real
    real.skerry("down", check=False)


def refused(real: Real, method: str, path: str, body: object = None) -> str:
    """The message of a change that fails, as it must."""
    return str(real.fails(method, path, body))


def test_a_qemu_that_exits(real: Real, nic: str, tmp_path: Path) -> None:
    broken = tmp_path / "qemu"
    broken.write_text("#!/bin/sh\necho 'a library is missing' >&2\nexit 127\n")
    broken.chmod(0o755)
    with real.covered(QEMU, broken):
        assert "a library is missing" in refused(real, "PUT", vm_path(), real.from_image(nic))
    real.done("POST", f"{vm_path()}/start")
    assert real.power() == "running"


@pytest.mark.parametrize("program", [QEMU, "/usr/bin/qemu-img", "/usr/sbin/dnsmasq", "/usr/sbin/nft"])
def test_a_program_that_may_not_be_run(real: Real, nic: str, tmp_path: Path, program: str) -> None:
    """Or is not there, or ends at once: to what needs it that is all the same."""
    broken = tmp_path / "program"
    broken.write_text("")
    with real.covered(program, broken):
        said = refused(real, "PUT", vm_path(), real.from_image(nic))
        assert "ermission denied" in said
        assert Path(program).name in said
    real.done("POST", f"{vm_path()}/start")
    assert real.power() == "running"


def test_cgroups_that_cannot_be_written(real: Real, nic: str) -> None:
    """Guests run without limits then, and get them at their next start."""
    root = cgroups.ROOT if cgroups.Cgroups().version == 2 else cgroups.ROOT / "memory"
    with real.read_only(root):
        vm = real.create(nic)
        assert real.power() == "running"
        assert not list(root.glob(f"**/{vm}"))
        assert "without memory and CPU limits" in real.log()
    real.done("POST", f"{vm_path()}/restart")
    (group,) = root.glob(f"**/{vm}")
    assert (group / "cgroup.procs").read_text().split() == [str(pid) for pid in real.qemus(vm)]


@pytest.mark.parametrize("folder", ["vms", "disks"])
def test_a_folder_that_cannot_be_written(real: Real, nic: str, folder: str) -> None:
    with real.read_only(real.state / folder):
        assert "ead-only" in refused(real, "PUT", vm_path(), real.from_image(nic))
    real.done("POST", f"{vm_path()}/start")
    assert real.power() == "running"


@contextmanager
def own_disk(folder: Path) -> Iterator[Path]:
    """A file system in a file, and what makes it read-only as a bad disk does."""
    disk = folder.with_suffix(".img")
    run("truncate", "-s", "128M", disk)
    run("mkfs.ext4", "-q", disk)
    folder.mkdir()
    mount(disk, folder)
    device = run("findmnt", "-no", "SOURCE", folder).strip().rpartition("/")[2]
    try:
        yield Path("/sys/fs/ext4") / device / "trigger_fs_error"
    finally:
        run("umount", "--lazy", folder)


def mount(disk: Path, folder: Path) -> None:
    """As a system disk mostly is."""
    run("mount", "-o", "loop,errors=remount-ro", disk, folder)
    folder.chmod(0o711)


def run(*words: str | Path) -> str:
    """Run a program of the host; what it prints."""
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(not Path("/dev/loop-control").exists(), reason="needs loop devices")
def test_a_disk_that_turns_read_only(tmp_path: Path) -> None:
    """Reads work and nothing is promised; once the disk is repaired a new start finds all that was."""
    with own_disk(tmp_path / "state") as fault:
        real = Real(tmp_path, free_port())
        real.up()
        vm = real.create(real.network())
        (qemu,) = real.qemus(vm)
        fault.write_text("bad sector")
        for method, path in (("DELETE", vm_path()), ("POST", f"{vm_path()}/restart")):
            assert "once that is mended" in refused(real, method, path)
        assert real.skerry("vm", "list", "-g", "rg")
        assert real.power() == "running"
        assert "read-only" in real.skerry("down", check=False).lower()
        assert real.qemus(vm) == [qemu]
        real.kill(signal.SIGTERM)
        os.kill(qemu, signal.SIGKILL)
        until(lambda: not real.qemus(vm), 10, "QEMU is gone")
        until(lambda: not unmounted(tmp_path / "state"), 30, "nobody uses the disk")
        subprocess.run(["e2fsck", "-fy", str(tmp_path / "state.img")], check=False, capture_output=True)
        mount(tmp_path / "state.img", tmp_path / "state")
        real.up()
        until(lambda: real.power() == "running", 30, "it runs again")
        real.delete()
        real.remove_disks()
        real.clean()
        real.down()


def unmounted(folder: Path) -> int:
    """Unmount it; 0 if that worked."""
    return subprocess.run(["umount", str(folder)], check=False, capture_output=True).returncode


@contextmanager
def few_files(pid: int, more: int) -> Iterator[None]:
    """The process may open so many files more than it has."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()) + 1
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + more, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_too_few_open_files(real: Real, nic: str) -> None:
    """Enough for some requests, not for a guest."""
    with few_files(real.pid, 6):
        assert "open" in refused(real, "PUT", vm_path(), real.from_image(nic))
    real.done("POST", f"{vm_path()}/start")
    assert real.power() == "running"


def test_a_damaged_image(real: Real, nic: str) -> None:
    (image,) = (real.state / "images").glob("mini-*/disk.qcow2")
    whole = image.read_bytes()
    image.write_bytes(b"\0" * 4096 + whole[4096:])
    try:
        assert "mini" in refused(real, "PUT", vm_path(), real.from_image(nic))
    finally:
        image.write_bytes(whole)
    real.done("POST", f"{vm_path()}/start")
    assert real.power() == "running"


@pytest.mark.parametrize("seconds", [-7200, 7200], ids=["back", "on"])
def test_a_clock_that_is_set(tmp_path: Path, seconds: int) -> None:
    """While a VM is made: operations go on and end, tokens stay good, the certificate too, nothing is forgotten."""
    real, clock = Real(tmp_path, free_port()), tmp_path / "clock"
    clock.write_text("0")
    real.environment |= {"PYTHONPATH": str(CLOCK), "SKERRY_TEST_CLOCK": str(clock)}
    real.up()
    try:
        nic = real.network()
        real.create(nic)
        real.call("PUT", vm_path("unready"), real.from_image(real.network("nic2")))
        until(real.waits_for_ready, 60, "the other VM runs")
        set_clock(clock, seconds)
        real.power_off()
        real.done("POST", f"{vm_path()}/start")
        assert real.get(vm_path("unready"))["properties"]["provisioningState"] == "Creating"
        assert "running" in real.skerry("vm", "list", "-g", "rg")
        assert "virtualMachines/write" in real.skerry("vm", "explain", "-g", "rg", "unready")
        real.kill()
        real.up()
        assert "running" in real.skerry("vm", "list", "-g", "rg")
        real.delete("unready")
        set_clock(clock, 0)
        real.delete()
        real.remove_disks()
        real.clean()
    finally:
        real.skerry("down", check=False)


def set_clock(clock: Path, seconds: int) -> None:
    """At once, for everybody who looks."""
    part = clock.with_suffix(".part")
    part.write_text(str(seconds))
    part.rename(clock)


def test_kvm_that_is_asked_for_and_refused(tmp_path: Path) -> None:
    """Nothing is started in its place: who asks for KVM wants no emulation."""
    cpuinfo, nothing, other = tmp_path / "cpuinfo", tmp_path / "socket", tmp_path / "file"
    cpuinfo.write_text(re.sub(r"(?m)^(flags\s*:)", r"\1 vmx", Path("/proc/cpuinfo").read_text()))
    other.touch(0o666)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(nothing))
    up = f"{SKERRY} up --detach --accel kvm --port {free_port()} --state {tmp_path}/state"
    for device, cause in (
        (nothing, "can't be opened (No such device or address)"),
        (other, "failed to initialize kvm"),
    ):
        script = f"mount --bind {cpuinfo} /proc/cpuinfo && mount --bind {device} /dev/kvm && exec {up}"
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert "KVM was asked for but" in done.stderr
        assert cause in done.stderr
        assert "use --accel tcg, or auto" in done.stderr
