"""Checkpoints on disk: whole or not there, damaged, removed, and their memory within bounds."""

import os
from pathlib import Path

import pytest

from skerry.host.checkpoints.store import MOST_LOADED, RAM, STATE, Checkpoint, CheckpointStore, Kept, Making
from skerry.host.errors import HostError
from skerry.host.warm.memory import crc

MIB = 1 << 20


def make(store: CheckpointStore, identifier: str) -> Checkpoint:
    folder = store.begin(Making(identifier, "vm", ("d1",), "e1", "receiver", 0))
    with (folder / RAM).open("wb") as ram:
        ram.write(identifier.encode())
        ram.truncate(2 * MIB)
    (folder / STATE).write_bytes(b"state")
    checksums = (crc(folder / RAM), crc(folder / STATE))
    kept = Kept("q35", "tcg", 1, 2 * MIB, "bios", (), ("d1",), (None,), (MIB,), True, False, checksums)
    made = Checkpoint(identifier, "vm", ("d1",), "e1", 1.0, 0.05, 0.004, 7, kept)
    store.finish(made)
    return made


def test_one_is_there_when_it_is_whole(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.begin(Making("c1", "vm", ("d1",), "e1", "receiver", 5))
    assert ([*store.list()], [making.pid for making in store.unfinished()]) == ([], [5])
    with pytest.raises(HostError, match="not on this host"):
        store.find("c1")
    made = make(store, "c1")
    assert ([*CheckpointStore(tmp_path).list()], store.unfinished()) == ([made], [])
    seen = made.observed()
    assert (seen.ready, seen.memory, seen.pause_seconds, seen.disk_pause_seconds) == (True, True, 0.05, 0.004)


def test_its_memory_is_shared_and_sealed(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    descriptors = [*store.open(made := make(store, "c1")), *store.open(made)]
    assert os.fstat(descriptors[0]).st_ino == os.fstat(descriptors[2]).st_ino
    assert os.pread(descriptors[0], 2, 0) == b"c1"
    with pytest.raises(OSError, match="not permitted"):
        os.pwrite(descriptors[0], b"x", 0)
    for descriptor in descriptors:
        os.close(descriptor)
    store.close()


@pytest.mark.parametrize("name", [RAM, STATE])
def test_a_damaged_one_is_not_used(tmp_path: Path, name: str) -> None:
    store = CheckpointStore(tmp_path)
    made = make(store, "c1")
    with (store.folder("c1") / name).open("r+b") as file:
        file.write(b"damage")
    with pytest.raises(HostError, match="damaged"):
        store.open(made)
    store.close()


def test_few_are_in_memory_at_once(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for number in range(MOST_LOADED + 2):
        for descriptor in store.open(make(store, f"c{number}")):
            os.close(descriptor)
    assert len(store._memory) == MOST_LOADED
    store.close()


def test_removed_it_is_gone_also_after_a_kill(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    make(store, "c1")
    store.folder("c1").rename(tmp_path / "checkpoints" / ".c1")
    assert not [*CheckpointStore(tmp_path).list(), *(tmp_path / "checkpoints").iterdir()]
    make(store, "c2")
    for _ in range(2):
        store.remove("c2")
    assert not list((tmp_path / "checkpoints").iterdir())
