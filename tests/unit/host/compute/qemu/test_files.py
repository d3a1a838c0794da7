"""What a VM's folder holds: its record and its serial log; and its cgroups."""

import errno
import os
from pathlib import Path

import pytest

from skerry.host.compute.qemu import record, serial
from skerry.host.compute.qemu.cgroups import OVERHEAD, Cgroups
from skerry.host.compute.qemu.machine_types import parse_newest_q35
from skerry.host.compute.qemu.record import Record
from skerry.host.errors import MissingFeature


def test_a_record_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    kept = Record("vm", "pc-q35-7.2", ("qemu", "-m", "64M"), pid=7, started=8, boot="b", reason="crashed", disks=("d",))
    record.save(tmp_path, kept)
    assert record.load(tmp_path) == kept
    assert (tmp_path / record.FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [record.FILE]


def test_no_record_and_a_broken_one_are_none(tmp_path: Path) -> None:
    assert record.load(tmp_path) is None
    (tmp_path / record.FILE).write_text("{")
    assert record.load(tmp_path) is None


def test_the_log_is_cut_only_when_too_long(tmp_path: Path) -> None:
    assert serial.end_of_log(tmp_path) is None
    serial.rotate(tmp_path)
    descriptor = serial.open_log(tmp_path)
    os.write(descriptor, b"boot 1\n")
    serial.rotate(tmp_path)
    assert serial.end_of_log(tmp_path) == b"boot 1\n"
    os.write(descriptor, b"x" * serial.MOST + b"end")
    serial.rotate(tmp_path)
    os.write(descriptor, b" and on")
    os.close(descriptor)
    assert (tmp_path / serial.LOG).read_bytes() == b" and on"
    kept = serial.end_of_log(tmp_path)
    assert kept is not None
    assert len(kept) == serial.MOST
    assert kept.endswith(b"xxend and on")


def folders(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)


def test_limits_in_version_1(tmp_path: Path) -> None:
    folders(tmp_path, "memory", "cpu")
    Cgroups(tmp_path).limit("vm", 7, 1 << 30, 2)
    memory, cpu = tmp_path / "memory/skerry/vm", tmp_path / "cpu/skerry/vm"
    assert (memory / "memory.limit_in_bytes").read_text() == str((1 << 30) + OVERHEAD)
    assert (cpu / "cpu.cfs_quota_us").read_text() == "200000"
    assert (cpu / "cpu.shares").read_text() == "2048"
    assert {(group / "cgroup.procs").read_text() for group in (memory, cpu)} == {"7"}


def test_limits_in_version_2(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    Cgroups(tmp_path).limit("vm", 7, 1 << 30, 2)
    group = tmp_path / "skerry/vm"
    assert (group / "memory.max").read_text() == str((1 << 30) + OVERHEAD)
    assert (group / "cpu.max").read_text() == "200000 100000"
    assert (group / "cpu.weight").read_text() == "200"
    assert (tmp_path / "skerry/cgroup.subtree_control").read_text() == "+memory +cpu"


def test_a_host_without_cgroups_goes_on(tmp_path: Path) -> None:
    cgroups = Cgroups(tmp_path / "missing")
    cgroups.limit("vm", 7, 1 << 30, 2)
    cgroups.remove("vm")
    assert cgroups.version == 0


def test_cgroups_that_refuse_are_not_a_failure(tmp_path: Path) -> None:
    folders(tmp_path, "memory", "cpu")
    (tmp_path / "memory/skerry").write_text("in the way")
    Cgroups(tmp_path).limit("vm", 7, 1 << 30, 2)
    assert (tmp_path / "memory/skerry").read_text() == "in the way"


def test_the_newest_machine_type_is_read_from_qemu() -> None:
    lines = "pc  alias\nq35    Standard PC (alias of pc-q35-7.2)\npc-q35-7.2  Standard PC\npc-q35-7.1  Standard PC\n"
    assert parse_newest_q35(lines) == "pc-q35-7.2"
    with pytest.raises(MissingFeature, match="q35"):
        parse_newest_q35("isapc  ISA-only PC\n")


def test_a_full_disk_still_cuts_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    descriptor = serial.open_log(tmp_path)
    os.write(descriptor, b"x" * serial.MOST + b"end")
    os.close(descriptor)
    monkeypatch.setattr(Path, "write_bytes", full)
    serial.rotate(tmp_path)
    assert serial.end_of_log(tmp_path) == b""


def test_the_keeper_ends_when_nobody_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vm").mkdir()
    (tmp_path / "a file").touch()
    descriptor = serial.open_log(tmp_path / "vm")
    looks: list[int] = []

    def look(_seconds: float) -> None:
        looks.append(len(looks))
        if len(looks) == 5:
            os.close(descriptor)

    monkeypatch.setattr("time.sleep", look)
    serial.keep(tmp_path)
    assert len(looks) == 5 + serial.IDLE_LOOKS
