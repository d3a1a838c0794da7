"""Checkpoints of real QEMU guests: a tiny one that counts in memory and on its disk."""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace
from tests.system.compute.counting_guest import SIZE, write_disk

from skerry.host.checkpoints.qemu import QemuCheckpoints
from skerry.host.compute.qemu import process, record
from skerry.host.compute.qemu.driver import QemuCompute
from skerry.host.errors import HostError
from skerry.host.network.routed import RoutedNetwork
from skerry.host.storage.qcow2 import Qcow2Storage
from skerry.hostspec import (
    CheckpointedDisk,
    CheckpointObserved,
    CheckpointSpec,
    DiskAttachment,
    DiskSpec,
    VmSpec,
)

pytestmark = [
    pytest.mark.checkpoints,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as Skerry's default mode does"),
]
LIMIT = 60.0
C1, C2, DISK, DATA = "c1" * 16, "c2" * 16, "d1" * 16, "d2" * 16


class Host:
    """The drivers of one state folder."""

    def __init__(self, state: Path) -> None:
        self.state = state
        state.chmod(0o700)
        self.up()
        self.vm = VmSpec(str(uuid.uuid4()), "count", 1, 64 << 20, (DiskAttachment(DISK),), (), (), firmware="bios")
        self.make_disk(DISK)

    def up(self) -> None:
        self.storage = Qcow2Storage(self.state)
        self.compute = QemuCompute(self.state / "vms", "tcg", None)
        self.checkpoints = QemuCheckpoints(self.state, self.compute, cast(RoutedNetwork, None), self.storage)

    def restart(self) -> None:
        """As a Skerry that is started again."""
        self.checkpoints.close()
        self.compute.close()
        self.up()

    def make_disk(self, disk: str) -> None:
        raw, path = self.state / "raw", self.state / "disks" / f"{disk}.qcow2"
        write_disk(raw)
        self.storage.ensure(DiskSpec(disk, SIZE))
        subprocess.run(["qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", raw, path], check=True)

    def start(self, vm: VmSpec | None = None) -> VmSpec:
        vm = vm or self.vm
        self.compute.start(vm, self.checkpoints._files(vm), [])
        self.counts(vm)
        return vm

    def keep(
        self, checkpoint: str = C1, *, memory: bool = True, disks: tuple[str, ...] = (DISK,)
    ) -> CheckpointObserved:
        spec = CheckpointSpec(checkpoint, self.vm.id, disks, memory)
        return self.checkpoints.make(spec, self.vm)

    def counts(self, vm: VmSpec | None = None, beyond: int | None = None) -> int:
        """A number that it prints from now on."""
        vm = vm or self.vm
        before = len(self.printed(vm)) if beyond is None else None
        self.until(
            lambda: (len(self.printed(vm)) > before + 1) if before is not None else self.last(vm) > (beyond or 0)
        )
        return self.last(vm)

    def printed(self, vm: VmSpec) -> list[bytes]:
        log = self.compute.serial_log(vm.id) or b""
        return [line for line in log.split(b"\r\n") if len(line) == 8 and not line.strip(b"0123456789ABCDEF")]

    def last(self, vm: VmSpec) -> int:
        lines = self.printed(vm)
        return int(lines[-1], 16) if lines else 0

    def on_disk(self, path: Path) -> int:
        """The number in the second sector, read as another process may."""
        read = ["qemu-io", "-r", "-f", "qcow2", "-c", "read -v 512 4", str(path)]
        words = subprocess.run(read, check=True, capture_output=True, text=True).stdout.split()
        return int.from_bytes(bytes.fromhex("".join(words[1:5])), "little")

    def pid(self, vm: VmSpec | None = None) -> int:
        kept = record.load(self.state / "vms" / (vm or self.vm).id)
        assert kept is not None
        return kept.pid

    def frozen(self) -> list[Path]:
        return list((self.state / "frozen").iterdir())

    def left(self) -> list[str]:
        """What nothing half made may leave."""
        hidden = [*self.state.glob("disks/.*"), *self.state.glob("checkpoints/*"), *self.state.glob("frozen/*")]
        return [str(path) for path in hidden]

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT
        while not holds():
            assert time.monotonic() < deadline, self.compute.machines()
            time.sleep(0.02)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.checkpoints.close()
    for vm in list(host.compute.machines()):
        host.compute.forget(vm)
    host.compute.close()


def restored(host: Host, generation: int = 1, checkpoint: str = C1, **changes: Any) -> VmSpec:
    """Put the VM back, as the agent does."""
    vm = replace(host.vm, restore_from=checkpoint, restore_generation=generation, **changes)
    host.compute.kill(vm.id)
    host.checkpoints.put_back(vm)
    if not host.checkpoints.resume(vm, []):
        host.compute.start(vm, host.checkpoints._files(vm), [])
    return vm


def test_a_guest_counts_on_and_is_put_back(host: Host) -> None:
    host.start()
    before, pid = host.counts(), host.pid()
    made = host.keep()
    assert (made.ready, made.memory, made.message) == (True, True, "")
    assert 0 < made.disk_pause_seconds <= made.pause_seconds < 5
    assert (host.pid(), host.counts() > before) == (pid, True)
    kept = host.on_disk(host.frozen()[0])
    host.counts(beyond=kept + 40)
    host.compute.kill(host.vm.id)
    (host.state / "vms" / host.vm.id / "serial.log").write_bytes(b"")
    restored(host)
    host.counts()
    assert kept <= int(host.printed(host.vm)[0], 16) < kept + 35
    assert host.compute.machines()[host.vm.id].restore_generation == 1
    host.compute.kill(host.vm.id)
    assert host.on_disk(host.state / "disks" / f"{DISK}.qcow2") >= kept


def test_a_checkpoint_of_a_checkpoint_and_what_goes_with_them(host: Host) -> None:
    host.start()
    host.keep(C1)
    host.keep(C2)
    host.checkpoints.remove(C1)
    assert len(host.frozen()) == 2
    restored(host, checkpoint=C2)
    host.counts()
    host.keep(C1)
    host.compute.forget(host.vm.id)
    host.storage.ensure(DiskSpec(DISK, SIZE, present=False))
    host.checkpoints.remove(C1)
    host.checkpoints.remove(C2)
    assert host.left() == []


def test_what_no_checkpoint_keeps_goes_into_the_disk_of_a_guest_that_runs_on(host: Host) -> None:
    host.start()
    for checkpoint in (C1, C2):
        host.keep(checkpoint, memory=False)
    host.checkpoints.remove(C1)
    host.counts()
    assert len(host.frozen()) == 2
    host.checkpoints.remove(C2)
    host.until(lambda: host.frozen() == [])
    number = host.counts()
    held = [str(link.readlink()) for link in Path(f"/proc/{host.pid()}/fd").iterdir()]
    assert not [path for path in held if "/frozen/" in path or "qcow2 (deleted)" in path]
    host.keep(C1)
    host.compute.kill(host.vm.id)
    assert host.on_disk(host.state / "disks" / f"{DISK}.qcow2") >= number
    restored(host)
    assert host.counts() >= number


def test_disks_only_of_a_running_and_of_a_stopped_one(host: Host) -> None:
    host.start()
    running = host.keep(C1, memory=False)
    assert (running.memory, running.pause_seconds) == (False, 0)
    host.counts()
    host.compute.kill(host.vm.id)
    stopped = host.keep(C2, memory=False)
    assert stopped.disk_pause_seconds == 0
    with pytest.raises(HostError, match="doesn't run"):
        host.keep("c3", memory=True)
    restored(host)
    host.until(lambda: host.last(host.vm) == 1 or host.counts() > 1)


def test_all_disks_change_at_one_moment(host: Host) -> None:
    host.make_disk(DATA)
    host.vm = replace(host.vm, disks=(DiskAttachment(DISK), DiskAttachment(DATA, lun=0)))
    host.start()
    host.keep(disks=(DISK, DATA))
    assert len(host.frozen()) == 2
    restored(host)
    host.counts()


def test_a_disk_is_made_of_it_while_the_guest_runs(host: Host) -> None:
    host.start()
    host.keep()
    new = DiskSpec("d3", SIZE, origin=CheckpointedDisk(C1, DISK))
    assert host.storage.ensure(new).ready
    other = replace(host.vm, id=str(uuid.uuid4()), disks=(DiskAttachment("d3"),))
    host.start(other)
    host.counts()
    host.checkpoints.remove(C1)
    assert len(host.frozen()) == 1
    with pytest.raises(HostError, match="not on this host"):
        host.storage.ensure(replace(new, id="d4"))


def test_a_failure_leaves_all_as_it_was(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.start()
    monkeypatch.setattr("skerry.host.checkpoints.qemu.crc", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        host.keep()
    monkeypatch.undo()
    host.counts()
    assert not list(host.checkpoints.checkpoints())
    monkeypatch.setattr("skerry.host.checkpoints.receiver.save", lambda *_: 1 / 0)
    monkeypatch.setattr("skerry.host.checkpoints.overlays.Overlays.switch", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        host.keep()
    monkeypatch.undo()
    number = host.counts()
    made = host.keep()
    assert made.ready
    assert host.counts() >= number


@pytest.mark.parametrize("moment", ["prepare", "begin", "still", "switched", "sent", "saved"])
def test_a_killed_skerry_leaves_the_guest_running_and_nothing_else(
    host: Host, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A child process makes the checkpoint, and is killed at the moment; this one then finds what is left."""
    host.start()
    host.checkpoints.close()
    host.compute.close()
    child = os.fork()
    if child == 0:
        die_at(moment)
        host.up()
        host.keep()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    host.up()
    assert not list(host.checkpoints.checkpoints())
    number = host.counts()
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"receiver" in path.read_bytes()]
    made = host.keep()
    assert made.ready
    assert host.counts() >= number
    restored(host)
    host.counts()


def die_at(moment: str) -> None:
    """Replace the function that is next at the moment by one that kills this process."""
    from skerry.host.checkpoints import overlays, qemu, receiver, sending
    from skerry.host.storage.frozen import Frozen

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def after(function: Callable[..., Any]) -> Callable[..., None]:
        def wrapped(*given: Any, **named: Any) -> None:
            function(*given, **named)
            die()

        return wrapped

    places: dict[str, tuple[Any, str, bool]] = {
        "prepare": (Frozen, "prepare", True),
        "begin": (qemu, "send", False),
        "still": (overlays.Overlays, "switch", False),
        "switched": (overlays.Overlays, "switch", True),
        "sent": (sending, "_until", True),
        "saved": (receiver.Receiver, "finish", True),
    }
    owner, name, afterwards = places[moment]
    setattr(owner, name, after(getattr(owner, name)) if afterwards else die)


def test_a_full_disk_ends_the_checkpoint_and_not_the_guest(host: Host) -> None:
    host.start()
    folder = host.state / "checkpoints"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "none", folder], check=True)
    try:
        with pytest.raises(HostError):
            host.keep()
    finally:
        subprocess.run(["umount", folder], check=True)
    number = host.counts()
    assert host.left() == []
    host.keep()
    assert host.counts() >= number


def test_a_stop_in_the_middle_loses_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The QEMU that comes after it writes to the overlay, of which the next attempt must not be a surprise."""
    host.start()
    monkeypatch.setattr("skerry.host.checkpoints.qemu.send", lambda *_: host.compute.kill(host.vm.id))
    monkeypatch.setattr("skerry.host.checkpoints.qemu.QemuCheckpoints._give_up", lambda *_: None)
    with pytest.raises(HostError):
        host.keep()
    monkeypatch.undo()
    host.start()
    number = host.counts()
    host.keep()
    host.compute.kill(host.vm.id)
    assert host.on_disk(host.frozen()[0]) >= 0
    assert host.on_disk(host.state / "disks" / f"{DISK}.qcow2") >= number
    restored(host)
    assert host.counts() >= number


def test_a_qemu_that_dies_ends_the_checkpoint(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.start()
    pid = host.pid()
    monkeypatch.setattr("skerry.host.checkpoints.overlays.Overlays.switch", lambda _: os.kill(pid, signal.SIGKILL))
    with pytest.raises(HostError):
        host.keep()
    monkeypatch.undo()
    host.until(lambda: not host.compute.machines()[host.vm.id].process)
    host.until(lambda: process.look_up(pid) is None)
    host.restart()
    assert host.left() == []
    host.start()
