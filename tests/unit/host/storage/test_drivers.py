"""What both storage drivers promise, and what only the real one can show."""

import subprocess
from pathlib import Path

import orjson
import pytest
from msgspec.structs import replace

from skerry.host.errors import HostError, Refused
from skerry.host.storage.driver import StorageDriver
from skerry.host.storage.fake import DEBIAN_12, FakeStorage
from skerry.host.storage.qcow2 import Qcow2Storage
from skerry.hostspec import DiskObserved, DiskSpec

MIB = 1 << 20
IMAGE = DEBIAN_12.id
ROOT = "6f1e2d3c-0000-4000-8000-0123456789ab"


def make_real(state: Path) -> Qcow2Storage:
    folder = state / "images" / IMAGE
    folder.mkdir(parents=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", folder / "disk.qcow2", "2G"], check=True)
    details = {"id": IMAGE, "publisher": "Debian", "offer": "debian-12", "sku": "12-gen2", "version": "0.1.1"}
    (folder / "image.json").write_bytes(orjson.dumps({**details, "size_bytes": 2 << 30, "alias": "Debian12"}))
    return Qcow2Storage(state)


@pytest.fixture(params=["fake", "real"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> StorageDriver:
    return FakeStorage() if request.param == "fake" else make_real(tmp_path)


@pytest.fixture
def real(tmp_path: Path) -> Qcow2Storage:
    return make_real(tmp_path)


def test_the_image_is_there(storage: StorageDriver) -> None:
    assert [(image.id, image.alias, image.size_bytes) for image in storage.images()] == [(IMAGE, "Debian12", 2 << 30)]
    assert storage.free_bytes() > 0


def test_a_disk_is_made_once(storage: StorageDriver) -> None:
    spec = DiskSpec(id=ROOT, size_bytes=30 << 30, image=IMAGE)
    made = DiskObserved(id=ROOT, ready=True, size_bytes=30 << 30)
    assert storage.ensure(spec) == storage.ensure(spec) == made
    assert list(storage.disks()) == [made]


def test_a_disk_s_file_comes_with_its_image(storage: StorageDriver) -> None:
    storage.ensure(DiskSpec(id="ab", size_bytes=2 << 30, image=IMAGE))
    storage.ensure(DiskSpec(id="cd", size_bytes=MIB))
    [(below, form)] = storage.file("ab").backing
    assert (Path(below).parts[-3:], form) == (("images", IMAGE, "disk.qcow2"), "qcow2")
    assert Path(storage.file("ab").path).is_absolute()
    assert storage.file("cd").backing == ()


def test_a_disk_grows_and_never_shrinks(storage: StorageDriver) -> None:
    storage.ensure(DiskSpec(id="ab", size_bytes=2 * MIB))
    assert storage.ensure(DiskSpec(id="ab", size_bytes=4 * MIB)).size_bytes == 4 * MIB
    with pytest.raises(Refused, match="can't be shrunk"):
        storage.ensure(DiskSpec(id="ab", size_bytes=2 * MIB))
    assert storage.disks()[0].size_bytes == 4 * MIB


def test_a_removed_disk_is_gone_and_may_be_removed_again(storage: StorageDriver) -> None:
    storage.ensure(DiskSpec(id="ab", size_bytes=MIB))
    gone = DiskSpec(id="ab", size_bytes=MIB, present=False)
    assert storage.ensure(gone) == storage.ensure(gone) == DiskObserved(id="ab", ready=False)
    assert list(storage.disks()) == []
    with pytest.raises(HostError, match="not on this host"):
        storage.file("ab")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (DiskSpec(id="ab", size_bytes=MIB, image=IMAGE), "smaller than its image"),
        (DiskSpec(id="ab", size_bytes=30 << 30, image="gone"), "not in this host's library"),
        (DiskSpec(id="ab", size_bytes=0), "can't have 0 bytes"),
        (DiskSpec(id="ab", size_bytes=1 << 60), "can't have"),
        (DiskSpec(id="ab", size_bytes=1000), "multiple of 512"),
        (DiskSpec(id="../ab", size_bytes=MIB), "no disk id"),
        (DiskSpec(id="ab/../cd", size_bytes=MIB), "no disk id"),
        (DiskSpec(id=".ab", size_bytes=MIB), "no disk id"),
        (DiskSpec(id="", size_bytes=MIB, present=False), "no disk id"),
    ],
)
def test_what_cannot_be_made_is_refused(storage: StorageDriver, spec: DiskSpec, why: str) -> None:
    with pytest.raises(HostError, match=why):
        storage.ensure(spec)
    assert list(storage.disks()) == []


def test_a_disk_is_an_overlay_that_moves_with_its_state_folder(tmp_path: Path) -> None:
    make_real(tmp_path / "state").ensure(DiskSpec(id="ab", size_bytes=3 << 30, image=IMAGE))
    moved = (tmp_path / "state").rename(tmp_path / "moved")
    disk = Qcow2Storage(moved).file("ab")
    answer = subprocess.run(["qemu-img", "info", "--output=json", disk.path], check=True, capture_output=True).stdout
    info = orjson.loads(answer)
    assert (info["virtual-size"], info["backing-filename-format"]) == (3 << 30, "qcow2")
    assert Path(info["full-backing-filename"]).resolve() == Path(disk.backing[0][0])


def test_a_disk_that_names_a_foreign_backing_file_is_not_opened(real: Qcow2Storage, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(MIB))
    path = tmp_path / "disks/ab.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "../secret", "-F", "raw", path], check=True)
    with pytest.raises(HostError, match="no image of the library"):
        real.file("ab")


def test_a_damaged_disk_is_shown_as_such(real: Qcow2Storage, tmp_path: Path) -> None:
    (tmp_path / "disks/ab.qcow2").write_bytes(b"QFI\xfb")
    [disk] = real.disks()
    assert (disk.id, disk.ready) == ("ab", False)
    assert "cut short" in disk.message


def test_what_a_kill_left_is_swept_and_never_listed(real: Qcow2Storage, tmp_path: Path) -> None:
    left = tmp_path / "disks/.ab.qcow2.123.0011"
    left.write_bytes(b"half")
    assert list(real.disks()) == []
    assert list(Qcow2Storage(tmp_path).disks()) == []
    assert not left.exists()


def test_a_disk_whose_removal_was_cut_short_is_listed_and_removed(
    real: Qcow2Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = DiskSpec(id="ab", size_bytes=MIB, present=False)
    unlink = Path.unlink
    removed: list[Path] = []

    def cut_short(path: Path, **options: bool) -> None:
        if removed:
            raise InterruptedError
        removed.append(path)
        unlink(path, **options)

    real.ensure(replace(gone, present=True))
    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(Path, "unlink", cut_short)
        real.ensure(gone)
    again = Qcow2Storage(tmp_path)
    assert [disk.id for disk in again.disks()] == ["ab"]
    again.ensure(gone)
    assert list((tmp_path / "disks").iterdir()) == []


def test_a_disk_in_use_is_not_resized(real: Qcow2Storage, tmp_path: Path) -> None:
    real.ensure(DiskSpec(id="ab", size_bytes=MIB))
    user = subprocess.Popen(
        ["qemu-io", "-f", "qcow2", tmp_path / "disks/ab.qcow2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with user:
        assert user.stdin and user.stdout
        user.stdin.write(b"length\n")
        user.stdin.flush()
        user.stdout.readline()
        with pytest.raises(HostError, match="deallocate its VM"):
            real.ensure(DiskSpec(id="ab", size_bytes=2 * MIB))
        user.stdin.close()
    assert real.ensure(DiskSpec(id="ab", size_bytes=2 * MIB)).size_bytes == 2 * MIB


@pytest.mark.parametrize("operation", ["ensure", "disks", "file", "images", "free_bytes"])
def test_the_fake_fails_when_told_to_and_only_then(operation: str) -> None:
    fake = FakeStorage()
    spec = DiskSpec(id="ab", size_bytes=MIB)
    fake.ensure(spec)
    calls = {
        "ensure": lambda: fake.ensure(spec),
        "disks": fake.disks,
        "file": lambda: fake.file("ab"),
        "images": fake.images,
        "free_bytes": fake.free_bytes,
    }
    fake.fail_next(operation, "no such luck")  # type: ignore[arg-type]
    with pytest.raises(HostError, match="no such luck"):
        calls[operation]()
    assert calls[operation]()


def test_the_fake_knows_urns() -> None:
    fake = FakeStorage()
    fake.alias("a:b:c:latest", IMAGE)
    assert fake.images()[0].aliases == ("a:b:c:latest",)
