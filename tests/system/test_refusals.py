"""A host that turns against a running Skerry: QEMU that doesn't start, cgroups and folders that can't be written, too
few open files, damaged images, a clock that is set. What needs it fails with its cause, and goes on once that is gone.

The server runs in a mount namespace of its own, in which things are hidden from it alone. An operation gives its host
fifteen seconds before it fails: most of this is `make test-kills`.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.system.cloud import free_port, until
from tests.system.real import Real, vm_path

from skerry.host.compute.qemu import cgroups

pytestmark = [
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


@pytest.fixture
def nic(real: Real) -> Iterator[str]:
    """A NIC for the test's VM; nothing is left of that afterwards, and it was one Skerry all the time."""
    pid = real.pid
    yield real.network()
    if real.get(vm_path()) is not None:
        real.delete()
    real.remove_disks()
    real.clean()
    assert real.pid == pid


def refused(real: Real, method: str, path: str, body: object = None) -> str:
    """The message of a change that fails, as it must."""
    return str(real.fails(method, path, body))


@pytest.mark.kills
def test_a_qemu_that_exits(real: Real, nic: str, tmp_path: Path) -> None:
    broken = tmp_path / "qemu"
    broken.write_text("#!/bin/sh\necho 'a library is missing' >&2\nexit 127\n")
    broken.chmod(0o755)
    with real.covered(QEMU, broken):
        assert "a library is missing" in refused(real, "PUT", vm_path(), real.from_image(nic))
    real.done("POST", f"{vm_path()}/start")
    assert real.power() == "running"


@pytest.mark.kills
def test_a_program_that_may_not_be_run(real: Real, nic: str, tmp_path: Path) -> None:
    broken = tmp_path / "qemu"
    broken.write_text("")
    with real.covered(QEMU, broken):
        assert "ermission denied" in refused(real, "PUT", vm_path(), real.from_image(nic))
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


@pytest.mark.kills
@pytest.mark.parametrize("folder", ["vms", "disks"])
def test_a_folder_that_cannot_be_written(real: Real, nic: str, folder: str) -> None:
    with real.read_only(real.state / folder):
        assert "ead-only" in refused(real, "PUT", vm_path(), real.from_image(nic))
    real.done("POST", f"{vm_path()}/start")
    assert real.power() == "running"


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


@pytest.mark.kills
def test_too_few_open_files(real: Real, nic: str) -> None:
    """Enough for some requests, not for a guest."""
    with few_files(real.pid, 6):
        assert "open" in refused(real, "PUT", vm_path(), real.from_image(nic))
    real.done("POST", f"{vm_path()}/start")
    assert real.power() == "running"


@pytest.mark.kills
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


@pytest.mark.kills
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
        until(real.waits_for_ready, 30, "the other VM runs")
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
