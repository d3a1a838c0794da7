"""Templates appear whole, are found by what they are made of, and a damaged one is never used."""

import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from skerry.host.errors import HostError
from skerry.host.warm.limits import Limits
from skerry.host.warm.memory import new_memory, save_memory
from skerry.host.warm.templates import DETAILS, DISK, RAM, STATE, Key, Template, Templates, TooLarge

MIB = 1 << 20
AMPLE = Limits(1 << 40, 1 << 40)
KEY = Key("debian-12-abc", 1, 8 * MIB, "bios", "tcg")
CONTENT = {0: b"first", 3 * MIB + 17: b"middle", 8 * MIB - 4: b"last"}


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    (tmp_path / "disks").mkdir()
    return Templates(tmp_path, AMPLE)


def image_file(path: Path, size: int) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, str(size)], check=True)


def make(templates: Templates, key: Key = KEY, name: str = "11111111-1111-4111-8111-111111111111") -> Template:
    folder = templates.folder / f".{name}"
    folder.mkdir()
    image_file(folder / DISK, 64 * MIB)
    memory = new_memory(key.memory_bytes)
    for place, text in CONTENT.items():
        os.pwrite(memory, text, place)
    save_memory(memory, folder / RAM)
    os.close(memory)
    (folder / STATE).write_bytes(b"state")
    template = templates.finish(folder, key, "02:00:00:00:00:01")
    assert templates.find(key) != template
    templates.approve(template)
    return template


def overlay(templates: Templates, template: Template, name: str = "d1") -> Path:
    path = templates.folder.parent / "disks" / f"{name}.qcow2"
    backing = f"../templates/{template.id}/{DISK}"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", "qcow2", path, "64M"], check=True)
    return path


def test_what_was_saved_is_found_and_opened(templates: Templates) -> None:
    template = make(templates)
    assert templates.find(KEY) == template
    assert template.disk_bytes == 64 * MIB
    memory, state = templates.open(template)
    assert {place: os.pread(memory, len(text), place) for place, text in CONTENT.items()} == CONTENT
    assert os.pread(memory, 4096, MIB) == bytes(4096)
    assert os.pread(state, 99, 0) == b"state"
    os.close(memory)
    os.close(state)
    templates.close()


def test_its_file_takes_no_more_room_than_what_is_in_it(templates: Templates) -> None:
    template = make(templates)
    status = (templates.folder / template.id / RAM).stat()
    assert status.st_size == 8 * MIB
    assert status.st_blocks * 512 <= 4 * MIB


def test_nobody_can_write_to_the_memory(templates: Templates) -> None:
    memory, state = templates.open(make(templates))
    again = os.open(f"/proc/self/fd/{memory}", os.O_RDWR)
    for attempt in (lambda: os.pwrite(again, b"x", 0), lambda: os.ftruncate(again, 0)):
        with pytest.raises(PermissionError):
            attempt()
    for descriptor in (memory, state, again):
        os.close(descriptor)
    templates.close()


@pytest.mark.parametrize(
    "other",
    [
        msgspec.structs.replace(KEY, image="debian-12-def"),
        msgspec.structs.replace(KEY, vcpus=2),
        msgspec.structs.replace(KEY, memory_bytes=16 * MIB),
        msgspec.structs.replace(KEY, firmware="uefi"),
        msgspec.structs.replace(KEY, setting="kvm"),
    ],
)
def test_what_differs_in_anything_finds_none(templates: Templates, other: Key) -> None:
    make(templates)
    assert templates.find(other) is None


@pytest.mark.parametrize("name", [RAM, STATE, DISK])
@pytest.mark.parametrize("damage", ["changed", "short", "gone"])
def test_a_damaged_one_is_dropped(templates: Templates, name: str, damage: str) -> None:
    template = make(templates)
    path = templates.folder / template.id / name
    if damage == "changed":
        path.write_bytes(b"X" + path.read_bytes()[1:])
    elif damage == "short":
        os.truncate(path, path.stat().st_size - 1)
    else:
        path.unlink()
    with pytest.raises(HostError, match=template.id):
        templates.open(template)
    assert templates.find(KEY) is None
    if name != DISK:  # nobody knows then who is on it
        assert not (templates.folder / template.id).exists()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"id": 7}'])
def test_one_whose_description_is_damaged_is_dropped(templates: Templates, damage: bytes) -> None:
    template = make(templates)
    (templates.folder / template.id / DETAILS).write_bytes(damage)
    assert templates.find(KEY) is None
    assert not (templates.folder / template.id).exists()


def test_those_of_another_setting_are_dropped(templates: Templates) -> None:
    template = make(templates)
    templates.keep_only(KEY.setting)
    assert templates.find(KEY) == template
    templates.keep_only("another QEMU")
    assert not templates.list()


def test_a_newer_one_takes_the_older_one_s_place(templates: Templates) -> None:
    make(templates)
    newer = make(templates, name="22222222-2222-4222-8222-222222222222")
    assert templates.find(KEY) == newer
    assert [path.name for path in templates.folder.iterdir()] == [newer.id]


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    (tmp_path / "disks").mkdir()
    one = make(Templates(tmp_path, AMPLE))
    room = sum(path.stat().st_blocks * 512 for path in (tmp_path / "templates" / one.id).iterdir())
    templates, made = Templates(tmp_path, Limits(AMPLE.memory_bytes, 3 * room + room // 2)), [one]
    os.utime(templates.folder / one.id / DETAILS, (1000, 1000))  # old, but used lately
    for number in range(1, 4):
        key = msgspec.structs.replace(KEY, vcpus=number + 1)
        made.append(make(templates, key, f"{number:08x}-1111-4111-8111-111111111111"))
        os.utime(templates.folder / made[-1].id / DETAILS, (number, number))
    assert [templates.find(template.key) == template for template in made] == [True, False, True, True]


def test_one_that_is_over_the_disk_s_limit_is_never_used(tmp_path: Path) -> None:
    (tmp_path / "disks").mkdir()
    templates = Templates(tmp_path, Limits(AMPLE.memory_bytes, MIB))
    with pytest.raises(TooLarge, match="over the limit of 1 MiB of disk"):
        make(templates)
    assert not list(templates.folder.iterdir())


def test_memory_is_that_of_those_used_last(tmp_path: Path) -> None:
    (tmp_path / "disks").mkdir()
    templates = Templates(tmp_path, Limits(7 * MIB, AMPLE.disk_bytes))
    made = [
        make(templates, msgspec.structs.replace(KEY, vcpus=n), f"{n:08x}-1111-4111-8111-111111111111")
        for n in (1, 2, 3)
    ]
    for template in (made[0], made[1], made[0], made[2]):
        for descriptor in templates.open(template):
            os.close(descriptor)
    assert [bool(templates.used(template)[0]) for template in made] == [True, False, True]
    templates.close()


def test_one_that_is_over_the_memory_s_limit_is_kept_and_not_used(tmp_path: Path) -> None:
    (tmp_path / "disks").mkdir()
    templates = Templates(tmp_path, Limits(MIB, AMPLE.disk_bytes))
    template = make(templates)
    with pytest.raises(TooLarge, match="over the limit of 1 MiB of memory"):
        templates.open(template)
    assert templates.find(KEY) == template


def test_its_disk_stays_while_a_disk_needs_it(templates: Templates) -> None:
    template = make(templates)
    disk = overlay(templates, template)
    templates.drop(template, "a test")
    assert templates.find(KEY) is None
    templates.sweep()
    assert [path.name for path in (templates.folder / template.id).iterdir()] == [DISK]
    disk.unlink()
    templates.sweep()
    assert not (templates.folder / template.id).exists()


def test_unfinished_ones_are_swept(templates: Templates) -> None:
    (templates.folder / ".33333333-3333-4333-8333-333333333333").mkdir()
    template = make(templates)
    templates.sweep()
    assert [path.name for path in templates.folder.iterdir()] == [template.id]
