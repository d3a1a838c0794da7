import os
import subprocess
import time
from pathlib import Path

import orjson
import pytest

from skerry.host.errors import HostError, Refused
from skerry.host.storage.library import Library
from skerry.host.storage.qcow2 import Qcow2Storage
from skerry.hostspec import DiskSpec

MIB = 1 << 20
UBUNTU = "Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:latest"
BUILT = {
    "id": "debian-12-0123456789ab",
    "publisher": "Debian",
    "offer": "debian-12",
    "sku": "12-gen2",
    "version": "0.20261122.1",
    "size_bytes": 8 * MIB,
    "alias": "Debian12",
    "format": "qcow2",
    "sha256": "0" * 64,
}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "state")


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "cache" / str(BUILT["id"])
    folder.mkdir(parents=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", folder / "disk.qcow2", "8M"], check=True)
    (folder / "image.json").write_bytes(orjson.dumps(BUILT))
    return folder


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(b"hello" + bytes(505) + b"\x55\xaa" + bytes(MIB - 512))
    return path


def test_an_empty_library(library: Library) -> None:
    assert list(library.list()) == []
    assert library.find("Debian12") is None
    with pytest.raises(HostError, match="not in this host's library"):
        library.path("debian-12")


def test_a_built_image_is_found_by_all_its_names(library: Library, built: Path) -> None:
    image = library.add_built(built)
    assert (image.id, image.alias, image.size_bytes) == (BUILT["id"], "Debian12", 8 * MIB)
    for name in (image.id, "debian12", "debian:DEBIAN-12:12-gen2:latest", "Debian:debian-12:12-gen2:0.20261122.1"):
        assert library.find(name) == image
    assert library.find("Debian:debian-12:12-gen2:0.1.1") is None


def test_a_built_image_shares_its_file_with_the_cache_and_is_added_once(library: Library, built: Path) -> None:
    assert library.add_built(built) == library.add_built(built)
    assert library.path(str(BUILT["id"])).samefile(built / "disk.qcow2")
    assert len(library.list()) == 1


def test_a_damaged_built_image_is_refused(library: Library, built: Path) -> None:
    (built / "image.json").write_bytes(orjson.dumps({**BUILT, "size_bytes": MIB}))
    with pytest.raises(Refused, match="damaged"):
        library.add_built(built)
    (built / "image.json").write_bytes(b"{")
    with pytest.raises(Refused, match="no built image"):
        library.add_built(built)
    assert list(library.list()) == []


def test_an_id_that_leads_out_of_the_library_is_refused(library: Library, built: Path) -> None:
    (built / "image.json").write_bytes(orjson.dumps({**BUILT, "id": "../../evil"}))
    with pytest.raises(Refused, match="no image id"):
        library.add_built(built)
    with pytest.raises(Refused, match="no image id"):
        library.path("../x")


@pytest.mark.parametrize("form", ["raw", "qcow2", "vpc"])
def test_each_format_is_imported_with_its_content(library: Library, raw: Path, tmp_path: Path, form: str) -> None:
    source = tmp_path / "source"
    options = ["-o", "subformat=fixed,force_size=on"] if form == "vpc" else []
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, *options, raw, source], check=True)
    image = library.import_file(source, "mine")
    assert (image.publisher, image.offer, image.sku, image.version, image.alias) == (
        "skerry",
        "imported",
        "mine",
        "1.0.0",
        "mine",
    )
    subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, library.path(image.id)], check=True)
    assert library.find("skerry:imported:MINE:latest") == image


def test_a_taken_or_bad_name_is_refused_and_nothing_is_left(library: Library, raw: Path) -> None:
    library.import_file(raw, "mine")
    with pytest.raises(Refused, match="here already"):
        library.import_file(raw, "Mine")
    for name in ("../x", "", ".x", "a b", "a:b"):
        with pytest.raises(Refused, match="no image name"):
            library.import_file(raw, name)
    assert [path.name for path in library.folder.iterdir() if path.is_dir()] == [library.list()[0].id]


def test_an_image_with_a_backing_file_is_never_imported(library: Library, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"root's own" + bytes(MIB - 10))
    overlay = tmp_path / "overlay"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", overlay], check=True)
    with pytest.raises(Refused, match="backing file"):
        library.import_file(overlay, "mine")
    assert list(library.list()) == []


def test_a_qcow2_with_contradicting_tables_is_refused(library: Library, tmp_path: Path) -> None:
    image = tmp_path / "a"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "8M"], check=True)
    content = bytearray(image.read_bytes())
    l1_at = int.from_bytes(content[40:48], "big")
    content[l1_at : l1_at + 8] = (1 << 63 | 1 << 40).to_bytes(8, "big")
    image.write_bytes(content)
    with pytest.raises(Refused, match="damaged"):
        library.import_file(image, "mine")


def test_a_urn_leads_to_the_image_it_was_given(library: Library, built: Path, raw: Path) -> None:
    debian = library.add_built(built)
    assert library.alias(UBUNTU, "Debian12").aliases == (UBUNTU,)
    assert (found := library.find(UBUNTU.upper())) and found.id == debian.id
    mine = library.import_file(raw, "mine")
    library.alias(UBUNTU.lower(), "mine")
    assert (found := library.find(UBUNTU)) and found.id == mine.id
    assert (found := library.find("Debian12")) and found.aliases == ()


def test_a_urn_that_cannot_be_an_alias_is_refused(library: Library, built: Path) -> None:
    library.add_built(built)
    for urn, name, why in (
        ("Debian12", "Debian12", "no image URN"),
        ("a:b:c:../d", "Debian12", "no image URN"),
        (UBUNTU, "nothing", "no image is called"),
        ("Debian:debian-12:12-gen2:latest", "Debian12", "the name of an image"),
    ):
        with pytest.raises(Refused, match=why):
            library.alias(urn, name)


def test_an_image_goes_with_its_urns(library: Library, built: Path) -> None:
    library.add_built(built)
    library.alias(UBUNTU, "Debian12")
    library.remove(UBUNTU)
    assert list(library.list()) == []
    assert orjson.loads((library.folder / "aliases.json").read_bytes()) == {}
    assert (built / "disk.qcow2").exists()


def test_an_image_in_use_stays(library: Library, built: Path, tmp_path: Path) -> None:
    image = library.add_built(built)
    with pytest.raises(Refused, match="in use"):
        library.remove("Debian12", in_use=[image.id])
    storage = Qcow2Storage(tmp_path / "state")
    storage.ensure(DiskSpec(id="ab", size_bytes=8 * MIB, image=image.id))
    with pytest.raises(Refused, match="in use"):
        library.remove("Debian12")
    storage.ensure(DiskSpec(id="ab", size_bytes=0, present=False))
    assert library.remove("Debian12") == image


def test_an_unchanged_library_is_not_read_again(library: Library, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.add_built(built)
    settled = library.folder.stat().st_mtime_ns - 10**9
    os.utime(library.folder, ns=(settled, settled))
    first = library.list()
    monkeypatch.setattr(Path, "glob", lambda *_: pytest.fail("the folder was read again"))
    assert library.list() is first


def test_another_process_s_change_is_seen(library: Library, built: Path) -> None:
    library.list()
    Library(library.folder.parent).add_built(built)
    assert len(library.list()) == 1


def test_a_folder_that_is_no_image_is_left_out(library: Library, built: Path) -> None:
    library.add_built(built)
    (library.folder / "broken").mkdir()
    (library.folder / "broken/image.json").write_text("{}")
    (library.folder / "renamed").mkdir()
    (library.folder / "renamed/image.json").write_bytes(orjson.dumps(BUILT))
    assert [image.id for image in library.list()] == [BUILT["id"]]


def test_what_a_killed_import_left_goes_after_a_day(library: Library, raw: Path) -> None:
    for name, age in ((".new-dead", 2 * 86400), (".new-alive", 60)):
        left = library.folder / name
        left.mkdir(parents=True)
        (left / "disk.qcow2").write_bytes(b"half")
        os.utime(left, (time.time() - age,) * 2)
    library.import_file(raw, "mine")
    assert [path.name for path in library.folder.glob(".new-*")] == [".new-alive"]
