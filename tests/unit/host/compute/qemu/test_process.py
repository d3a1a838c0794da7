"""Processes: how they are confined, known again, and ended."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from skerry.host.compute.qemu import process
from skerry.host.compute.qemu.process import Identity, Process, confined

NOBODY = Identity(65534, 65533, "nobody")


@pytest.fixture
def sleeper() -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A process whose command line says that it runs a VM."""
    vm = str(uuid.uuid4())
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)", "-uuid", vm], stdout=-1
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    yield vm, child
    child.kill()
    child.wait()


def test_root_gives_its_rights_away_inside_the_empty_namespace() -> None:
    assert confined(["qemu"], NOBODY, "/run/netns/empty") == [
        *["nsenter", "--net=/run/netns/empty"],
        *["setpriv", "--reuid=65534", "--regid=65533", "--clear-groups", "--inh-caps=-all", "--no-new-privs"],
        "qemu",
    ]
    assert "--groups=108" in confined(["qemu"], NOBODY, None, [108])


def test_an_ordinary_user_has_none_to_give() -> None:
    assert confined(["qemu"], None, None) == ["qemu"]


def test_a_process_is_found_by_its_vm_and_known_by_its_start(sleeper: tuple[str, "subprocess.Popen[bytes]"]) -> None:
    vm, child = sleeper
    found = process.find_qemu(vm)
    assert found == process.look_up(child.pid)
    assert found is not None
    assert process.is_qemu_of(found, vm)
    assert not process.is_qemu_of(found, str(uuid.uuid4()))
    assert not process.is_qemu_of(Process(found.pid, found.started + 1), vm)


def test_end_waits_until_it_is_gone(sleeper: tuple[str, "subprocess.Popen[bytes]"]) -> None:
    _, child = sleeper
    found = process.look_up(child.pid)
    assert found is not None
    process.end(found)
    assert process.look_up(child.pid) is None


def test_end_spares_another_process_with_the_same_pid(sleeper: tuple[str, "subprocess.Popen[bytes]"]) -> None:
    _, child = sleeper
    found = process.look_up(child.pid)
    assert found is not None
    process.end(Process(found.pid, found.started - 1))
    assert process.look_up(child.pid) == found


def test_nothing_runs_under_a_pid_that_cannot_be() -> None:
    assert process.look_up(1 << 30) is None
    process.end(Process(1 << 30, 1))
    assert process.find_qemu(str(uuid.uuid4())) is None


def test_this_process_runs() -> None:
    assert process.look_up(os.getpid()) is not None
