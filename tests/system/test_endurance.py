"""What dies under a running Skerry, Skerry started and stopped in any order, and what many cycles leave behind."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.cloud import SKERRY, free_port, until
from tests.system.real import Real, vm_path

from skerry.host.compute.qemu import process
from skerry.host.network import netns

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as Skerry's default mode does"),
]
CYCLES = 20


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    real = Real(tmp_path_factory.mktemp("endurance"), free_port())
    real.up()
    yield real
    real.skerry("down", check=False)


@pytest.fixture
def vm(real: Real) -> Iterator[str]:
    """A running VM's vmId."""
    vm = real.create(real.network())
    yield vm
    real.delete()
    real.clean()


def other(real: Real, vm: str, than: int) -> bool:
    """Whether the VM has another process, and only that one."""
    return [pid != than for pid in real.qemus(vm)] == [True]


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGSEGV, marks=pytest.mark.kills)])
def test_a_guest_whose_qemu_dies_is_started_again(real: Real, vm: str, number: signal.Signals) -> None:
    (pid,) = real.qemus(vm)
    os.kill(pid, number)
    until(lambda: other(real, vm, pid) and real.power() == "running", 60, "it runs again")
    assert "started again" in real.record(vm).message
    assert number.name in real.record(vm).message


def test_a_guest_that_dies_again_and_again_stays_stopped_until_it_is_started(real: Real, vm: str) -> None:

    def stays_stopped() -> bool:
        for pid in real.qemus(vm):
            found = process.look_up(pid)
            if (
                found and process.age(found.started) > 1
            ):  # one that still starts would be started again without counting
                os.kill(pid, signal.SIGKILL)
        # Between a death and the next start it is stopped, too.
        return real.power() == "stopped" and "4 times in a row" in real.record(vm).message

    until(stays_stopped, 120, "it stays stopped")
    real.done("POST", f"{vm_path()}/start")
    assert (real.power(), len(real.qemus(vm))) == ("running", 1)


def test_after_a_reboot_of_the_host_what_ran_runs_again(real: Real, vm: str) -> None:
    """Everything that a reboot ends is ended; a new boot id is all that is not to be had."""
    real.kill()
    for pid in real.qemus(vm):
        os.kill(pid, signal.SIGKILL)
    for name in netns.names(real.names.prefix):
        for pid in netns.processes(name):
            os.kill(pid, signal.SIGKILL)
        netns.remove(name)
    subprocess.run(["rm", "-rf", str(real.names.runtime)], check=True)
    path = real.folder(vm) / "argv.json"
    path.write_text(path.read_text().replace(process.boot_id(), "another-boot"))
    real.up()
    until(lambda: real.power() == "running" and len(real.qemus(vm)) == 1, 60, "it runs again")
    assert real.record(vm).boot == process.boot_id()


def test_down_in_the_middle_of_a_create_and_up_twice_at_once(real: Real) -> None:
    real.call("PUT", vm_path(), real.from_image(real.network()))
    real.down()
    assert netns.names(real.names.prefix) == []
    assert not real.names.runtime.exists()
    argv = [str(SKERRY), "up", "--detach", "--port", str(real.port), "--accel", "tcg"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    starts = [subprocess.Popen(argv, env=real.environment, **quiet) for _ in range(2)]  # type: ignore[call-overload]
    said = [start.communicate()[1] for start in starts]
    failed = [words for start, words in zip(starts, said, strict=True) if start.returncode]
    assert len(failed) < 2, said
    assert all(b"in use by another Skerry" in words for words in failed)
    until(lambda: real.power() == "running" and real.waits_for_ready(), 60, "the VM runs")
    assert len(real.qemus(real.vm_id())) == 1
    real.delete()
    real.clean()


@pytest.mark.kills
def test_a_storm_of_signals_keeps_the_guests(real: Real, vm: str) -> None:
    (qemu,) = real.qemus(vm)
    pid = real.pid
    for _ in range(200):
        for number in (signal.SIGTERM, signal.SIGINT):
            if process.look_up(pid):
                os.kill(pid, number)
    until(lambda: process.look_up(pid) is None, 60, "Skerry ends")
    assert process.look_up(qemu)
    real.up()
    assert (real.power(), real.qemus(vm)) == ("running", [qemu])


@pytest.mark.kills
def test_a_killed_skerry_is_cleaned_by_down(real: Real) -> None:
    vm = real.create(real.network())
    real.kill()
    real.down()
    assert real.qemus(vm) == []
    assert netns.names(real.names.prefix) == []
    assert not real.names.runtime.exists()
    real.up()
    until(lambda: real.power() == "running", 60, "what ran runs again")
    real.delete()
    real.clean()


@pytest.mark.kills
def test_many_vms_leave_nothing(real: Real) -> None:
    """After a first one, which fills caches and pools."""
    nics = [real.network(f"nic{number}") for number in range(2)]
    cycle(real, nics)
    before = usage(real)
    for _ in range(CYCLES // 2):
        cycle(real, nics)
    after = usage(real)
    assert after["descriptors"] <= before["descriptors"] + 4, (before, after)
    assert after["threads"] <= before["threads"] + 16, (before, after)  # pools grow up to their size
    assert after["KiB"] <= before["KiB"] + 20_000, (before, after)
    assert after["children"] == before["children"], (before, after)


def cycle(real: Real, nics: list[str]) -> None:
    for number, nic in enumerate(nics):
        real.create(nic, f"vm{number}")
    for number in range(len(nics)):
        real.call("DELETE", vm_path(f"vm{number}"))
    until(lambda: all(real.get(vm_path(f"vm{number}")) is None for number in range(len(nics))), 60, "they are gone")
    real.clean()


def usage(real: Real) -> dict[str, int]:
    """What the server has open now."""
    folder = Path(f"/proc/{real.pid}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return {
        "descriptors": len(list((folder / "fd").iterdir())),
        "threads": len(list((folder / "task").iterdir())),
        "KiB": int(status["VmRSS"].split()[0]),
        "children": len(" ".join(path.read_text() for path in folder.glob("task/*/children")).split()),
    }
