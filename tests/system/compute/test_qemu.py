"""The QEMU driver on real QEMU processes with a tiny guest."""

import errno
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from tests.system.compute.mini_guest import UP, write_disk

from skerry.host.compute.accel import trial_boot
from skerry.host.compute.driver import DiskFile, Machine
from skerry.host.compute.qemu import process, record, serial
from skerry.host.compute.qemu.cgroups import Cgroups
from skerry.host.compute.qemu.driver import QemuCompute
from skerry.host.compute.qemu.qmp import Loop, Monitor, connected
from skerry.host.errors import HostError
from skerry.host.network.daemons import arguments
from skerry.hostspec import DiskAttachment, Provisioning, VmSpec

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as Skerry's default mode does")

LIMIT = 60.0


class Host:
    """A driver over a state folder, with every VM it makes on an overlay of the tiny guest's disk."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.base = state / "base.raw"
        write_disk(self.base)
        self.compute = QemuCompute(state / "vms", "tcg", None)

    def vm(self, **changes: object) -> VmSpec:
        spec = VmSpec(str(uuid.uuid4()), "mini", 1, 64 << 20, (DiskAttachment("os"),), (), (), firmware="bios")
        return replace(spec, **changes)

    def disk(self, vm: VmSpec) -> DiskFile:
        path = self.state / f"{vm.id}.qcow2"
        if not path.exists():
            make = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(self.base), str(path)]
            subprocess.run(make, check=True)
        return DiskFile(str(path), "qcow2", ((str(self.base), "raw"),))

    def boot(self, vm: VmSpec | None = None) -> VmSpec:
        vm = vm or self.vm()
        printed = len(self.compute.serial_log(vm.id) or b"")
        self.compute.start(vm, [self.disk(vm)], [])
        self.until(lambda: UP in (self.compute.serial_log(vm.id) or b"")[printed:])
        return vm

    def machine(self, vm: VmSpec) -> Machine:
        return self.compute.machines()[vm.id]

    def halted(self, vm: VmSpec) -> Machine:
        self.until(lambda: self.machine(vm).state == "halted")
        return self.machine(vm)

    def gone(self, vm: VmSpec) -> Machine:
        self.until(lambda: not self.machine(vm).process)
        return self.machine(vm)

    def type(self, vm: VmSpec, key: bytes) -> None:
        """Leaves again at once: a console that doesn't read would hold the guest's output up."""
        with connected(self.folder(vm) / "serial.sock") as console:
            console.sendall(key)

    def folder(self, vm: VmSpec) -> Path:
        return self.state / "vms" / vm.id

    def keepers(self) -> list[int]:
        """The processes that keep serial logs small here."""
        lines = {int(p.name): arguments(int(p.name)) for p in Path("/proc").iterdir() if p.name.isdigit()}
        return [pid for pid, line in lines.items() if line[-1:] == [str(self.state / "vms")] and "-S" in line]

    def record(self, vm: VmSpec) -> record.Record:
        kept = record.load(self.folder(vm))
        assert kept is not None
        return kept

    def restart_skerry(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.compute.close()
        meanwhile()
        self.compute = QemuCompute(self.state / "vms", "tcg", None)

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT
        while not holds():
            assert time.monotonic() < deadline, self.evidence()
            time.sleep(0.02)

    def evidence(self) -> str:
        logs = {vm: (self.compute.serial_log(vm) or b"")[-500:] for vm in self.compute.machines()}
        return f"{self.compute.machines()} {logs}"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    tmp_path.chmod(0o700)
    host = Host(tmp_path)
    yield host
    for vm in list(host.compute.machines()):
        host.compute.forget(vm)
    host.compute.close()


def test_a_guest_boots_without_rights_and_within_limits(host: Host) -> None:
    vm = host.boot()
    machine = host.machine(vm)
    assert (machine.process, machine.state, machine.vcpus, machine.disks) == (True, "running", 1, ("os",))
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{host.record(vm).pid}/status").read_text().splitlines()
        if "\t" in line
    )
    assert status["Uid"].split("\t")[0] != "0"
    assert (status["CapEff"].strip("0"), status["NoNewPrivs"], status["Seccomp"]) == ("", "1", "2")
    groups = Path(f"/proc/{host.record(vm).pid}/cgroup").read_text()
    assert (f"/skerry/{vm.id}" in groups) is (Cgroups().version > 0)
    host.compute.forget(vm.id)
    assert not host.folder(vm).exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{vm.id}"))


def test_the_power_button_halts_it_and_kill_reaps_it(host: Host) -> None:
    vm = host.boot()
    host.compute.shutdown(vm.id)
    assert (host.halted(vm).reason, host.machine(vm).process) == ("asked", True)
    pid = host.record(vm).pid
    host.compute.kill(vm.id)
    assert host.machine(vm).process is False
    assert process.look_up(pid) is None


def test_kill_ends_a_running_guest(host: Host) -> None:
    vm = host.boot()
    host.compute.kill(vm.id)
    assert (host.machine(vm).state, host.machine(vm).reason) == ("halted", "asked")


def test_a_guest_that_shuts_itself_down_and_is_started_again(host: Host) -> None:
    vm = host.boot()
    host.type(vm, b"s")
    assert host.halted(vm).reason == "guest-shutdown"
    host.compute.kill(vm.id)
    assert host.machine(vm).reason == "guest-shutdown"
    before = host.record(vm).machine
    host.boot(replace(vm, start_generation=2, vcpus=2))
    machine = host.machine(vm)
    assert (machine.state, machine.start_generation, machine.vcpus) == ("running", 2, 2)
    assert host.record(vm).machine == before


def test_events_tell_of_a_panic(host: Host) -> None:
    vm = host.boot()
    seen: list[str] = []
    host.compute.on_event(seen.append)
    host.type(vm, b"p")
    machine = host.halted(vm)
    assert (machine.reason, machine.process) == ("crashed", True)
    assert "panicked" in machine.message
    host.until(lambda: vm.id in seen)


def test_a_process_that_dies_is_lost_and_one_that_always_does_crashed(host: Host) -> None:
    vm = host.boot()
    for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGKILL):
        os.kill(host.record(vm).pid, number)
        machine = host.gone(vm)
        assert machine.reason == "lost"
        assert number.name in machine.message
        host.boot(vm)
        assert host.machine(vm).state == "running"
        assert "started again" in host.machine(vm).message
    os.kill(host.record(vm).pid, signal.SIGKILL)
    machine = host.gone(vm)
    assert machine.reason == "crashed"
    assert "4 times" in machine.message
    host.boot(replace(vm, start_generation=2))
    assert host.machine(vm).message == ""
    os.kill(host.record(vm).pid, signal.SIGKILL)
    assert host.halted(vm).reason == "lost"


def test_start_is_a_no_op_while_it_lives(host: Host) -> None:
    vm = host.boot()
    pid = host.record(vm).pid
    host.compute.start(vm, [host.disk(vm)], [])
    assert host.record(vm).pid == pid


def test_a_new_skerry_adopts_a_running_guest(host: Host) -> None:
    vm = host.boot()
    host.restart_skerry()
    assert host.machine(vm).state == "running"
    host.compute.shutdown(vm.id)
    assert host.halted(vm).reason == "asked"


def test_a_guest_that_halted_while_skerry_was_away(host: Host) -> None:
    vm = host.boot()

    def power_off() -> None:
        loop = Loop()
        monitor = Monitor(loop, lambda _: None, lambda: None)
        monitor.connect(host.folder(vm) / "qmp.sock")
        host.type(vm, b"s")
        host.until(lambda: monitor.status() == "shutdown")
        monitor.close()
        loop.close()

    host.restart_skerry(power_off)
    assert (host.machine(vm).reason, host.machine(vm).process) == ("guest-shutdown", True)


def test_a_guest_that_died_while_skerry_was_away(host: Host) -> None:
    vm = host.boot()
    pid = host.record(vm).pid

    def die() -> None:
        os.kill(pid, signal.SIGKILL)
        host.until(lambda: process.look_up(pid) is None)

    host.restart_skerry(die)
    assert host.machine(vm).reason == "lost"


def test_a_guest_that_ran_before_the_host_was_rebooted(host: Host) -> None:
    vm = host.boot()
    pid = host.record(vm).pid

    def reboot() -> None:
        os.kill(pid, signal.SIGKILL)
        record.save(host.folder(vm), replace(host.record(vm), boot="another boot"))

    host.restart_skerry(reboot)
    assert host.machine(vm).reason == "host-rebooted"


def test_a_process_whose_pid_was_never_noted_is_found(host: Host) -> None:
    vm = host.boot()
    pid = host.record(vm).pid
    host.restart_skerry(lambda: record.save(host.folder(vm), replace(host.record(vm), pid=0, started=0)))
    assert host.machine(vm).state == "running"
    host.compute.kill(vm.id)
    assert process.look_up(pid) is None


@pytest.mark.parametrize("damaged", ["", "{", '{"id": 7}', None])
def test_a_guest_whose_record_is_gone_is_known_by_its_process(host: Host, damaged: str | None) -> None:
    vm = host.boot()
    before = host.record(vm)

    def spoil() -> None:
        path = host.folder(vm) / record.FILE
        path.unlink() if damaged is None else path.write_text(damaged)

    host.restart_skerry(spoil)
    assert (host.machine(vm).process, host.machine(vm).state) == (True, "running")
    host.compute.acknowledge(vm.id, 1)
    kept = host.record(vm)
    assert (kept.pid, kept.started, kept.boot, kept.machine) == (
        before.pid,
        before.started,
        before.boot,
        before.machine,
    )
    host.compute.forget(vm.id)
    assert process.look_up(before.pid) is None


def test_a_guest_whose_monitor_is_gone_is_kept_and_can_be_ended(host: Host) -> None:
    vm = host.boot()
    pid = host.record(vm).pid
    host.restart_skerry((host.folder(vm) / "qmp.sock").unlink)
    assert (host.machine(vm).process, host.machine(vm).state) == (True, "running")
    assert "runs but doesn't answer" in host.machine(vm).message
    host.compute.kill(vm.id)
    assert process.look_up(pid) is None
    host.boot(vm)
    assert host.machine(vm).message == ""


def test_memory_that_is_not_there(host: Host) -> None:
    vm = host.vm(memory_bytes=1 << 50)
    with pytest.raises(HostError, match=r"(?i)memory"):
        host.compute.start(vm, [host.disk(vm)], [])
    assert process.find_qemu(vm.id) is None


def test_what_a_kill_left_of_a_folder_is_found_or_removed(host: Host) -> None:
    vm = host.vm()

    def leave() -> None:
        host.folder(vm).mkdir()
        (host.state / "vms" / ".half-gone").mkdir()

    host.restart_skerry(leave)
    assert (host.machine(vm).process, host.machine(vm).reason) == (False, "")
    assert [path.name for path in (host.state / "vms").iterdir()] == [vm.id]
    host.compute.forget(vm.id)
    assert list((host.state / "vms").iterdir()) == []


def test_a_full_disk_starts_nothing_and_stops_all_the_same(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    vm, other = host.boot(), host.vm()
    pid = host.record(vm).pid

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(record, "save", full)
        with pytest.raises(HostError, match=r"nothing was started.*No space left"):
            host.compute.start(other, [host.disk(other)], [])
        host.compute.kill(vm.id)
        assert process.look_up(pid) is None
        assert host.record(vm).reason == ""
    host.until(lambda: host.record(vm).reason == "asked")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink(), "can't be opened"),
        (lambda path: path.write_bytes(b"no qcow2 at all"), "not in qcow2 format"),
    ],
)
def test_a_start_that_fails_says_why_and_leaves_nothing(
    host: Host, spoil: Callable[[Path], object], words: str
) -> None:
    vm = host.vm()
    disk = host.disk(vm)
    spoil(Path(disk.path))
    with pytest.raises(HostError, match=words):
        host.compute.start(vm, [disk], [])
    assert (host.machine(vm).process, host.machine(vm).start_generation) == (False, 0)
    assert process.find_qemu(vm.id) is None


def test_one_disk_cannot_serve_two_guests(host: Host) -> None:
    vm, other = host.boot(), host.vm()
    with pytest.raises(HostError, match="lock"):
        host.compute.start(other, [host.disk(vm)], [])


def test_a_flooded_serial_log_is_cut_and_ends_with_the_newest(host: Host) -> None:
    vm = host.boot()
    host.type(vm, b"f")
    host.until(lambda: b"end of flood" in (host.compute.serial_log(vm.id) or b""))
    host.until(lambda: (host.folder(vm) / serial.LOG).stat().st_size < serial.MOST)
    kept = host.compute.serial_log(vm.id)
    assert kept is not None
    assert len(kept) == serial.MOST
    assert kept.endswith(b"end of flood\r\n")


def test_a_flood_while_skerry_is_down_is_cut_too(host: Host) -> None:
    vm = host.boot()
    before = host.keepers()

    def flood() -> None:
        host.type(vm, b"f")
        host.until((host.folder(vm) / serial.OLDER).exists)

    host.restart_skerry(flood)
    kept = host.compute.serial_log(vm.id)
    assert kept is not None
    assert len(kept) <= serial.MOST
    files = [path.stat().st_size for path in host.folder(vm).glob("*serial.log*")]
    assert sum(files) < 3 * serial.MOST
    assert host.keepers() == before
    assert len(before) == 1


def test_a_killed_keeper_is_replaced_and_the_last_guest_takes_it_along(host: Host) -> None:
    vm = host.boot()
    (first,) = host.keepers()
    os.kill(first, signal.SIGKILL)
    host.until(lambda: host.keepers() not in ([], [first]))
    host.compute.forget(vm.id)
    host.until(lambda: host.keepers() == [])


def test_the_provisioning_cd_is_there_until_the_guest_needs_it_no_more(host: Host) -> None:
    vm = host.boot(host.vm(provisioning=Provisioning("mini", "me")))
    cd = host.folder(vm) / "provisioning.iso"
    assert cd.stat().st_mode & 0o777 == 0o600
    assert any('"cd"' in word for word in host.record(vm).argv)
    host.compute.kill(vm.id)
    host.boot(replace(vm, provisioning=None))
    assert not cd.exists()


def test_uefi_and_data_disks_start(host: Host, tmp_path: Path) -> None:
    vm = host.vm(firmware="uefi", disks=(DiskAttachment("os"), DiskAttachment("data", 3)), memory_bytes=256 << 20)
    data = tmp_path / "data.raw"
    data.write_bytes(b"\0" * (1 << 20))
    host.compute.start(vm, [host.disk(vm), DiskFile(str(data), "raw", lun=3)], [])
    assert host.machine(vm).state == "running"
    assert (host.folder(vm) / "OVMF_VARS.fd").exists()


def test_the_trial_guest_answers_from_64_bit_mode() -> None:
    trial_boot("tcg", LIMIT)


def test_the_record_names_no_secret(host: Host) -> None:
    secret = "$6$salt$verysecret"
    vm = host.boot(host.vm(provisioning=Provisioning("mini", "me", password_hash=secret)))
    assert secret not in msgspec.json.encode(host.record(vm)).decode()
