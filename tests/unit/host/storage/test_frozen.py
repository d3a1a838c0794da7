"""What checkpoints' disks hold: changed over, undone, refused, and removed when nothing needs it."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from skerry.host.checkpoints.flatten import LONGEST, surplus
from skerry.host.errors import HostError
from skerry.host.storage import chains
from skerry.host.storage.qcow2 import Qcow2Storage
from skerry.hostspec import CheckpointedDisk, DiskSpec

MIB = 1 << 20
A, B, C1, C2, T1, T2 = "aa", "bb", "c1", "c2", "e1", "e2"


def whole(state: Path, checkpoint: str, token: str) -> Path:
    """A checkpoint's file, as far as storage looks at it."""
    path = state / "checkpoints" / checkpoint / "checkpoint.json"
    path.parent.mkdir(parents=True)
    path.write_text(f'{{"token": "{token}"}}')
    return path


def frozen(storage: Qcow2Storage, token: str, disk: str = A) -> Path:
    storage.frozen.prepare(token, disk)
    storage.frozen.switch(token, [disk])
    return storage.frozen.path(token, disk)


def write(path: Path) -> None:
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -q 0 512", path], check=True, capture_output=True)


@pytest.fixture
def storage(tmp_path: Path) -> Qcow2Storage:
    found = Qcow2Storage(tmp_path)
    found.ensure(DiskSpec(A, MIB))
    return found


def test_a_disk_goes_on_above_what_it_held(storage: Qcow2Storage, tmp_path: Path) -> None:
    disk = tmp_path / "disks" / "aa.qcow2"
    inode = disk.stat().st_ino
    below = frozen(storage, T1)
    assert below.stat().st_ino == inode
    assert storage.file(A).backing == ((str(below), "qcow2"),)
    assert storage.holds_data(A)  # a template must not take its place


@pytest.mark.parametrize("switched", [True, False])
def test_undone_all_is_as_before(storage: Qcow2Storage, tmp_path: Path, switched: bool) -> None:
    disk = tmp_path / "disks" / "aa.qcow2"
    inode = disk.stat().st_ino
    storage.frozen.prepare(T1, A)
    if switched:
        storage.frozen.switch(T1, [A])
    assert not storage.frozen.written(T1, [A])
    for _ in range(2):
        storage.frozen.undo(T1, [A])
    assert disk.stat().st_ino == inode
    assert [path.name for path in (tmp_path / "disks").iterdir() if path.suffix != ".made"] == ["aa.qcow2"]
    assert not list((tmp_path / "frozen").iterdir())


def test_what_was_written_since_is_not_undone(storage: Qcow2Storage, tmp_path: Path) -> None:
    frozen(storage, T1)
    write(tmp_path / "disks" / "aa.qcow2")
    assert storage.frozen.written(T1, [A])


def test_disks_are_made_of_a_checkpoint_that_is_whole(storage: Qcow2Storage, tmp_path: Path) -> None:
    below, origin = frozen(storage, T1), CheckpointedDisk(C1, A)
    with pytest.raises(HostError, match="not on this host"):
        storage.ensure(DiskSpec(B, MIB, origin=origin))
    whole(tmp_path, C1, T1)
    assert storage.ensure(DiskSpec(B, 2 * MIB, origin=origin)).size_bytes == 2 * MIB
    assert storage.file(B).backing == ((str(below), "qcow2"),)
    assert storage.is_new(B, origin)
    write(tmp_path / "disks" / "bb.qcow2")
    assert not storage.is_new(B, origin)
    storage.put_back(B, origin)
    assert storage.is_new(B, origin)


def test_an_order_to_restore_is_remembered_with_the_disk(storage: Qcow2Storage, tmp_path: Path) -> None:
    assert storage.order(A) == ""
    storage.note_order(A, "vm 1")
    assert Qcow2Storage(tmp_path).order(A) == "vm 1"


def test_files_go_when_nothing_needs_them(storage: Qcow2Storage, tmp_path: Path) -> None:
    first, kept = frozen(storage, T1), whole(tmp_path, C1, T1)
    second, also = frozen(storage, T2), whole(tmp_path, C2, T2)
    kept.unlink()
    storage.frozen.sweep()
    assert (first.exists(), second.exists()) == (True, True)
    storage.ensure(DiskSpec(A, MIB, present=False))
    assert (first.exists(), second.exists()) == (True, True)
    also.unlink()
    storage.frozen.sweep()
    assert (first.exists(), second.exists()) == (False, False)


def test_nothing_goes_while_a_file_cannot_be_read(storage: Qcow2Storage, tmp_path: Path) -> None:
    below = frozen(storage, T1)
    (tmp_path / "disks" / "aa.qcow2").unlink()
    (tmp_path / "disks" / "bb.qcow2").write_bytes(b"damaged")
    storage.frozen.sweep()
    assert below.exists()
    (tmp_path / "disks" / "bb.qcow2").unlink()
    whole(tmp_path, C1, T1).write_text("{")
    storage.frozen.sweep()
    assert below.exists()


@pytest.mark.parametrize("name", ["/etc/shadow", "../../etc/passwd", "../frozen/../vms/x.qcow2", "../frozen/x.qcow2"])
def test_no_other_file_is_a_backing_file(storage: Qcow2Storage, tmp_path: Path, name: str) -> None:
    path = tmp_path / "disks" / "bb.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", name, path, "1M"], check=True)
    with pytest.raises(HostError):
        storage.file(B)


def test_what_is_copied_into_a_disk() -> None:
    image, files = Path("/s/images/i/disk.qcow2"), [Path(f"/s/frozen/e{number}.aa.qcow2") for number in range(20)]
    one = Counter(files)
    assert surplus([*files[:2], image], one, ()) == 2
    assert surplus([*files[:2], image], one, {"e1"}) == 1
    assert surplus([*files[:2], image], one, {"e0"}) == 0
    assert surplus([*files[:2], image], one + Counter(files[:1]), ()) == 0
    assert surplus([*files[:LONGEST], image], one, {"e0"}) == 0
    assert surplus([*files[: LONGEST + 1], image], one, {"e0"}) == LONGEST + 1
    assert surplus([image], one, ()) == 0


def test_names_are_relative() -> None:
    assert chains.relative(Path("/s/frozen/e1.aa.qcow2")) == "../frozen/e1.aa.qcow2"
    assert chains.relative(Path("/s/images/i/disk.qcow2")) == "../images/i/disk.qcow2"
