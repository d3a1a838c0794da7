"""Cache, lock and leftovers; the two slow steps are replaced by quick ones that leave real files."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from skerry.host.errors import CommandError
from skerry.host.storage.library import Library
from skerry.imagebuilder import BuildError, DiskFull, build, built, cache, disk, rootfs
from skerry.imagebuilder.recipes import DEBIAN_12, Recipe
from skerry.imagebuilder.rootfs import Report

made: list[str] = []


def quick_make(recipe: Recipe, work: Path, report: Report) -> Path:
    made.append(recipe.name)
    report(0.5)
    tar = work / "root.tar"
    tar.write_bytes(b"")
    return tar


def quick_format(tar: Path, shared: Path, size_bytes: int) -> Path:
    root = shared / "root.ext4"
    subprocess.run(["truncate", "-s", "8M", root], check=True)
    return root


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made.clear()
    monkeypatch.setattr(rootfs, "make", quick_make)
    monkeypatch.setattr(disk, "format_root", quick_format)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))


def ignore(_step: str, _fraction: float) -> None:
    pass


def leftovers(folder: Path) -> list[str]:
    hidden = [path.name for path in (folder / "images").glob(".*")]
    return [*hidden, *(path.name for path in (folder.parent / "tmp").iterdir())]


def test_an_image_is_built_once_and_fits_into_a_library(tmp_path: Path) -> None:
    store = tmp_path / "cache"
    assert built("debian-12", store) is None
    steps: list[tuple[str, float]] = []
    folder = build("Debian12", store, lambda step, fraction: steps.append((step, fraction)))
    assert folder == store / "images" / DEBIAN_12.image_id() == built("debian-12", store)
    assert build("debian-12", store, ignore) == folder
    assert made == ["debian-12"]
    assert [fraction for _, fraction in steps] == sorted(fraction for _, fraction in steps)
    assert steps[-1] == ("done", 1.0)
    assert leftovers(store) == []
    image = Library(tmp_path / "state").add_built(folder)
    assert (image.publisher, image.offer, image.sku, image.alias) == ("Debian", "debian-12", "12-gen2", "Debian12")
    zero, day, number = image.version.split(".")
    assert (zero, day[:2], len(day)) == ("0", "20", 8)
    assert 0 <= int(number) < 24 * 10_000


def test_image_json_says_what_is_in_the_file(tmp_path: Path) -> None:
    folder = build("debian-12", tmp_path / "cache", ignore)
    details = orjson.loads((folder / "image.json").read_bytes())
    answer = subprocess.run(["sha256sum", folder / "disk.qcow2"], check=True, capture_output=True, text=True)
    assert details["sha256"] == answer.stdout.split()[0]
    assert (details["format"], details["size_bytes"]) == ("qcow2", 2 << 30)


def test_a_failed_build_leaves_nothing_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Path:
        raise CommandError(["mmdebstrap"], 1, "E: apt-get update failed: invalid signature")

    monkeypatch.setattr(rootfs, "make", fail)
    with pytest.raises(BuildError, match=r"nothing was kept.*invalid signature"):
        build("debian-12", tmp_path / "cache", ignore)
    assert built("debian-12", tmp_path / "cache") is None
    assert leftovers(tmp_path / "cache") == []


def test_a_disk_that_fills_up_is_named_as_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "format_root", fail)
    with pytest.raises(DiskFull, match="filled up"):
        build("debian-12", tmp_path / "cache", ignore)
    assert leftovers(tmp_path / "cache") == []


def test_too_little_room_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFull, match="100 MiB free"):
        build("debian-12", tmp_path / "cache", ignore)
    assert made == []


def test_what_a_killed_build_left_goes_with_the_next(tmp_path: Path) -> None:
    left = tmp_path / "cache/images/.build-debian-12-dead"
    left.mkdir(parents=True)
    (left / "disk.qcow2").write_bytes(b"half")
    other = tmp_path / "cache/images/.build-debian-13-alive"
    other.mkdir()
    build("debian-12", tmp_path / "cache", ignore)
    assert not left.exists()
    assert other.exists()


def test_work_files_of_a_killed_build_go_and_a_live_one_s_stay(tmp_path: Path) -> None:
    dead = tmp_path / "tmp/skerry-image-dead/0123"
    dead.mkdir(parents=True)
    (dead / "disk.raw").write_bytes(b"half")
    with cache.workspace() as live:
        (live / "disk.raw").write_bytes(b"mine")
        build("debian-12", tmp_path / "cache", ignore)
        assert (live / "disk.raw").exists()
    assert leftovers(tmp_path / "cache") == []


def waits_for_a_lock(pid: int) -> bool:
    """Blocked waiters stand in /proc/locks with an arrow (proc(5))."""
    rows = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any(row[1] == "->" and str(pid) in row for row in rows)


def test_a_second_build_waits_and_takes_the_first_one_s_result(tmp_path: Path) -> None:
    store = tmp_path / "cache"
    script = (
        "import sys, pathlib; from skerry.imagebuilder import build;"
        "print(build('debian-12', pathlib.Path(sys.argv[1]), print))"
    )
    with cache.locked(store / "images", "debian-12"):
        other = subprocess.Popen([sys.executable, "-c", script, store], stdout=subprocess.PIPE, text=True)
        while not waits_for_a_lock(other.pid):
            assert other.poll() is None
            time.sleep(0.05)
        folder = store / "images" / DEBIAN_12.image_id()
        folder.mkdir()
        (folder / "image.json").write_text("{}")
    assert other.communicate()[0] == f"{folder}\n"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SKERRY_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/skerry"),
        ({"HOME": "/home/me"}, "/home/me/.cache/skerry"),
    ],
)
def test_the_default_cache(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str) -> None:
    for name in ("SKERRY_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache.default_cache() == Path(expected)
