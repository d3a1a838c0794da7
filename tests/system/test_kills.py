"""Skerry is killed in the middle of creating and deleting VMs, and started again: each ends as it would have, once.

A moment is something that appears or goes on the host; the kill comes right then. `make test-kills` runs all of them,
the usual run a sample.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.system.cloud import free_port, until
from tests.system.real import Real, soon, vm_path

from skerry.cli.errors import CliError
from skerry.host.compute.qemu import process

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as Skerry's default mode does"),
]

Moment = Callable[[Real], bool]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    real = Real(tmp_path_factory.mktemp("kills"), free_port())
    real.up()
    yield real
    real.skerry("down", check=False)


def some(pattern: str) -> Moment:
    """A file of the state folder appears."""
    return lambda real: any(real.state.glob(pattern))


def none(pattern: str) -> Moment:
    return lambda real: not any(real.state.glob(pattern))


def ran(real: Real) -> bool:
    """A QEMU is there, its pid noted or not."""
    children = Path(f"/proc/{real.pid}/task").glob("*/children")
    with suppress(OSError):
        for child in " ".join(path.read_text() for path in children).split():
            if b"-uuid" in Path(f"/proc/{child}/cmdline").read_bytes():
                return True
    return False


def noted(text: str) -> Moment:
    """The VM's record says so."""

    def holds(real: Real) -> bool:
        with suppress(OSError):
            return any(text in path.read_text() for path in real.state.glob("vms/*/argv.json"))
        return False

    return holds


def running(*words: str) -> Moment:
    """A process of ours has these words in its command line."""

    def holds(real: Real) -> bool:
        return any(all(word in line for word in words) for line in real.processes())

    return holds


def no_process(word: str) -> Moment:
    return lambda real: not any(word in line for line in real.processes())


# In the order in which they come; each is there before the operation ends.
CREATING: dict[str, Moment] = {
    "the request is answered": lambda _: True,
    "the disk is being made": some("disks/.*"),
    "the disk is there": some("disks/*.qcow2"),
    "the namespace is there": lambda real: bool(real.namespaces()),
    "DHCP is configured": lambda real: any(real.names.runtime.glob("*/dnsmasq.conf")),
    "DHCP runs": running("dnsmasq", "--conf-file"),
    "its sockets are there": some("vms/*/qmp.sock"),
    "QEMU is spawned": ran,
    "QEMU is noted": noted('"-uuid"'),
    "it runs": noted('"start_generation": 1'),
}
DELETING: dict[str, Moment] = {
    "the request is answered": lambda _: True,
    "the kill is noted": noted('"reason": "asked"'),
    "QEMU is gone": no_process("-uuid"),
    "the end is noted": lambda real: noted('"pid": 0')(real) or none("vms/*")(real),
    "its folder is half gone": lambda real: not any(real.state.glob("vms/*/qmp.sock")),
    "its record is gone": none("vms/*/argv.json"),
    "its folder is gone": none("vms/*"),
    "DHCP is gone": no_process("dnsmasq"),
    "the namespace is gone": lambda real: not real.namespaces(),
    "the disk is gone": none("disks/*.qcow2"),
}
SAMPLE = ("DHCP is configured", "QEMU is noted")
ALL = [
    pytest.param(creating, deleting, marks=[] if creating in SAMPLE else pytest.mark.kills)
    for creating, deleting in zip(CREATING, DELETING, strict=True)
]


@pytest.mark.parametrize(("creating", "deleting"), ALL)
def test_a_vm_is_created_and_deleted_once(real: Real, creating: str, deleting: str) -> None:
    nic = real.network()
    killed_at(real, CREATING[creating], lambda: real.call("PUT", vm_path(), real.from_image(nic)))
    real.up()
    if real.get(vm_path()) is None:  # killed before the request was answered: it may be sent again
        real.call("PUT", vm_path(), real.from_image(nic))
    vm = real.vm_id()
    until(lambda: real.power() == "running" and real.waits_for_ready(), 60, "the VM runs")
    assert len(real.qemus(vm)) == 1, real.log()
    assert len(list((real.state / "vms").iterdir())) == 1
    assert len(list((real.state / "disks").glob("*.qcow2"))) == 1

    killed_at(real, DELETING[deleting], lambda: real.call("DELETE", vm_path()))
    real.up()
    if (left := real.get(vm_path())) and left["properties"]["provisioningState"] != "Deleting":
        real.delete()
    until(lambda: real.get(vm_path()) is None, 60, "the VM is gone")
    real.clean()


def killed_at(real: Real, moment: Moment, request: Callable[[], object]) -> None:
    """Send the request and kill the server at the moment, which must come before the request's work is done."""

    def send() -> None:
        with suppress(CliError):
            request()

    pid, sending = real.pid, threading.Thread(target=send)
    sending.start()
    if moment(real):
        sending.join()
    assert soon(lambda: moment(real)), real.log()
    os.kill(pid, signal.SIGKILL)
    sending.join()
    until(lambda: process.look_up(pid) is None, 60, "the server's end")


@pytest.mark.kills
@pytest.mark.timeout(900)
def test_a_real_guest_is_provisioned_through_kills(real: Real) -> None:
    """Killed while it boots, again while it provisions: it never notices, and is deleted through a kill."""
    real.skerry("image", "build", "debian-12")
    image = {"publisher": "Debian", "offer": "debian-12", "sku": "12-gen2", "version": "latest"}
    nic = real.network()
    known = "SELECT id FROM host_observed WHERE kind = 'image' AND id LIKE 'debian-12%'"
    until(lambda: bool(real.query(known)), 60, "the image is known")
    real.call("PUT", vm_path(), real.from_image(nic, image))
    for words in ("Linux version", "cloud-init"):
        until(lambda words=words: words in console(real), 300, words)  # type: ignore[misc]
        real.kill()
        real.up()
    assert real.settled(seconds=600) == "Succeeded", real.log()
    vm = real.vm_id()
    (pid,) = real.qemus(vm)
    assert pid == real.record(vm).pid
    assert console(real).count("Linux version") == 1
    killed_at(real, noted('"reason": "asked"'), lambda: real.call("DELETE", vm_path()))
    real.up()
    until(lambda: real.get(vm_path()) is None, 60, "the VM is gone")
    real.clean()


def console(real: Real) -> str:
    """What the guest printed."""
    return "".join(path.read_text(errors="replace") for path in sorted(real.state.glob("vms/*/serial.log*")))
