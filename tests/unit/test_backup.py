"""Backups: the same rows in either database, whole or refused, nothing left of what fails."""

import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text
from tests.postgresql import Server

from skerry.backup import REVISIONS, BackupError, backup, restore
from skerry.hostspec import DiskSpec, HostCapacity, ImageObserved, Observed, VmObserved
from skerry.store import BadDatabase, Link, OperationRow, ResourceRow, Store
from skerry.store.archive import BadArchive, write_archive
from skerry.store.database import Database
from skerry.store.migrate import NewerState, prepare, upgrade, writing
from skerry.store.tables import metadata


@pytest.fixture
def state(tmp_path: Path, database: str | Path) -> Path:
    """A state folder with its keys and a row of each kind; in PostgreSQL it has no database file."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "account.json").write_text('{"subscription_id": "sub"}')
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "aliases.json").write_text("{}")
    (tmp_path / "disks").mkdir()
    (tmp_path / "disks" / "d.qcow2").write_text("a disk")
    prepare(database, "sub")
    with closing(Store(database)) as store, store.write() as work:
        work.hosts.add("local")
        work.hosts.put("local", DiskSpec("d", 1))
        capacity = HostCapacity(2, 1 << 40, 1, "fake")
        work.hosts.record(
            "local",
            Observed(1, capacity, (VmObserved("v", "running"),), images=(ImageObserved("i", "p", "o", "s", "1"),)),
        )
        work.resources.save(ResourceRow("/a", "/A", "t", "g", "ä", '{"name":"ä\\u0000"}'.encode(), private={"x": [1]}))
        work.resources.set_links("/a", [Link("/a", "/b", "nic")])
        work.resources.set_tags("/a", {"Env": "prod"})
        work.operations.add(OperationRow("o", "k", "/a", "/A", "start", deadline=1e12, resume_at=0.1, result=b"{}"))
        work.leases.take("local", "me", 1e6)
    return tmp_path


def url(state: Path, database: str | Path) -> str | None:
    """What `--database` is for this database."""
    return database if isinstance(database, str) else None


def rows(database: str | Path) -> dict[str, list[Any]]:
    """Everything in the database."""
    with closing(Store(database)) as store, store.read() as work:
        return {
            table.name: sorted(map(repr, work.connection.execute(select(table)))) for table in metadata.sorted_tables
        }


@pytest.mark.parametrize("to", ["sqlite", "postgresql"])
def test_a_backup_is_the_same_in_either_database(
    state: Path, database: str | Path, to: str, postgresql: Server, tmp_path: Path
) -> None:
    file, new = tmp_path / "backup", tmp_path / "new" / "state"
    before = rows(database)
    backup(state, url(state, database), file)
    target = postgresql.create() if to == "postgresql" else None
    restore(file, new, target)
    after = rows(target or new / "skerry.db")
    assert (new / "keys" / "account.json").read_text() == '{"subscription_id": "sub"}'
    assert (new / "images" / "aliases.json").exists()
    assert not (new / "disks").exists()
    assert all(
        path.stat().st_mode & 0o077 == 0 for path in new.rglob("*") if path.is_file() and path.name != "database"
    )
    for name in before.keys() - {"hosts", "host_specs", "leases"}:
        assert (name, after[name]) == (name, before[name])
    assert after["leases"] == []
    with closing(Store(target or new / "skerry.db")) as store, store.read() as work:
        spec = work.hosts.spec("local")
        assert (spec.revision, spec.disks) == (2 + REVISIONS, (DiskSpec("d", 1),))
        assert work.hosts.applied("local") == 0
    if target:
        with pytest.raises(BadDatabase, match="name it with --database"):
            backup(new, None, tmp_path / "another")
        with pytest.raises(BadDatabase, match="isn't empty"):
            restore(file, tmp_path / "third", target)
        assert not (tmp_path / "third").exists()
        postgresql.drop(target)


def test_a_backup_is_its_owners_and_never_replaces_a_file(state: Path, database: str | Path, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    backup(state, url(state, database), file)
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as tar:
        names = tar.getnames()
    assert "keys/account.json" in names
    assert not [name for name in names if "disks" in name or "leases" in name]
    content = file.read_bytes()
    with pytest.raises(BackupError, match="exists already"):
        backup(state, url(state, database), file)
    assert file.read_bytes() == content


def test_a_backup_holds_one_state_whatever_is_written_meanwhile(
    state: Path, database: str | Path, tmp_path: Path
) -> None:
    stop = threading.Event()

    def pairs() -> Iterator[None]:
        with closing(Store(database)) as store:
            for number in range(100000):
                with store.write() as work:
                    for side in "lr":
                        work.resources.save(ResourceRow(f"{side}{number}", "X", side, "g", "x", b"{}"))
                yield

    def run() -> None:
        for _ in pairs():
            if stop.is_set():
                return

    writer = threading.Thread(target=run)
    writer.start()
    try:
        for number in range(3):
            backup(state, url(state, database), tmp_path / f"b{number}")
    finally:
        stop.set()
        writer.join()
    for number in range(3):
        restore(tmp_path / f"b{number}", tmp_path / f"s{number}", None)
        with closing(Store(tmp_path / f"s{number}" / "skerry.db")) as store, store.read() as work:
            assert work.resources.count("l") == work.resources.count("r")


@pytest.fixture
def file(sqlite_template: Path, tmp_path: Path) -> Path:
    """A small backup."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "skerry.db").write_bytes(sqlite_template.read_bytes())
    backup(tmp_path / "old", None, tmp_path / "backup")
    return tmp_path / "backup"


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [_flip, lambda content: content[:-200], lambda content: content[200:], lambda content: content[:0]]
)
def test_a_damaged_backup_is_refused_whole(file: Path, damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(BadArchive):
        restore(file, tmp_path / "new", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "old"]


def _rewrite(file: Path, change: Callable[[dict[str, Any]], None], names: dict[str, str]) -> None:
    """Change the backup's manifest, and what its members are called."""
    with tarfile.open(file) as tar:
        members = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    manifest = msgspec.json.decode(members["manifest.json"])
    change(manifest)
    members["manifest.json"] = msgspec.json.encode(manifest)
    with tarfile.open(file, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(names.get(name, name))
            info.size = len(content)
            tar.addfile(info, BytesIO(content))


def test_a_backup_of_a_newer_skerry_is_refused(file: Path, tmp_path: Path) -> None:
    _rewrite(file, lambda manifest: manifest.update(schema="9999"), {})
    with pytest.raises(NewerState, match="newer Skerry"):
        restore(file, tmp_path / "new", None)
    assert not (tmp_path / "new").exists()


def test_a_name_that_leads_out_of_the_folder_is_refused(file: Path, tmp_path: Path) -> None:
    tags, evil = "tables/tags.jsonl", "keys/../../evil"
    _rewrite(file, lambda manifest: manifest["sha256"].update({evil: manifest["sha256"].pop(tags)}), {tags: evil})
    with pytest.raises(BadArchive, match="evil"):
        restore(file, tmp_path / "new", None)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "evil").exists()


def test_a_folder_in_use_is_left_as_it_is(file: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="isn't empty"):
        restore(file, tmp_path / "old", None)
    with pytest.raises(BackupError, match="no Skerry was ever started"):
        backup(tmp_path / "nothing", None, tmp_path / "b")


def test_an_older_backup_is_migrated(tmp_path: Path) -> None:
    body = '{"tags":{"Env":"prod"}}'
    with writing(Database(tmp_path / "old.db")) as session:
        upgrade(session.connection, "0001")
        session.connection.execute(
            text(
                "INSERT INTO resources "
                "VALUES ('/a', '/A', 't', 'g', '', 'a', '', 'e', 'Succeeded', '', :body, '{}', 1, 1)"
            ),
            {"body": body.encode()},
        )
        write_archive(tmp_path / "backup", session.connection, {})
    restore(tmp_path / "backup", tmp_path / "new", None)
    with closing(Store(tmp_path / "new" / "skerry.db")) as store, store.read() as work:
        row = work.resources.get("/a")
        assert row is not None
        assert row.body == body.encode()
        assert work.connection.execute(text("SELECT name FROM tags")).scalars().all() == ["env"]
