"""A state folder of the first release, with all that was under way in it, goes on under this one."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.consistent import consistent
from tests.engine.scenarios import DISK, VMS, put_vm
from tests.engine.stepped import Clock
from tests.engine.world import World, opened

from skerry.store.database import Database
from skerry.store.migrate import HEAD, upgrade, writing

WEB = f"resourceGroups/rg/{VMS}/web"
LATER = {"microsoft.compute/virtualmachines": {"placement", "unmade", "given"}, "microsoft.compute/disks": {"host"}}


def _first_release(path: Path) -> None:
    database = Database(path)
    with writing(database) as session:
        connection: Connection = session.connection
        upgrade(connection, "0001")
    database.close()


def _columns(connection: sqlite3.Connection, schema: str, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA {schema}.table_info({table})")]


def _turn_back(new: Path, old: Path) -> None:
    """Write what is in `new` as the first release had it."""
    _first_release(old)
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("ATTACH ? AS new", (str(new),))
        for table in ("resources", "links", "operations", "hosts", "host_specs", "host_observed"):
            both = set(_columns(connection, "new", table)) & set(_columns(connection, "main", table))
            names = ", ".join(sorted(both))
            more = (", on_report", ", 1") if table == "operations" else ("", "")
            connection.execute(f"INSERT INTO {table} ({names}{more[0]}) SELECT {names}{more[1]} FROM new.{table}")
        for kind, later in LATER.items():
            for key, private in connection.execute("SELECT key, private FROM resources WHERE type = ?", (kind,)):
                kept = {name: value for name, value in json.loads(private).items() if name not in later}
                connection.execute("UPDATE resources SET private = ? WHERE key = ?", (json.dumps(kept).encode(), key))
        connection.commit()


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Path]:
    """A state folder of the first release: a VM with a tag, an operation on it under way, and a disk."""
    with opened(tmp_path / "new", Clock()) as world:
        world.arm.nic(world.arm.group(), "web-nic", public=True)
        world.arm.done(put_vm(world.arm))
        properties = {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1}
        world.arm.done(world.arm.put(DISK, {"location": "local", "properties": properties}))
        answer = world.arm.post(f"{WEB}/restart")
        folder = tmp_path / "old"
        world.save(tmp_path / "saved")
    folder.mkdir()
    (tmp_path / "saved" / "host.pickle").rename(folder / "host.pickle")
    _turn_back(tmp_path / "saved" / "skerry.db", folder / "skerry.db")
    (folder / "link").write_text(answer.headers["azure-asyncoperation"])
    yield folder


def test_all_answers_and_goes_on(old: Path) -> None:
    before = (old / "skerry.db").stat().st_size
    with opened(old, Clock()) as world:
        assert (old / f"skerry.db.before-{HEAD}").stat().st_size == before
        assert [row["version_num"] for row in _revision(world)] == [HEAD]
        found = world.arm.get("resources?$filter=tagName eq 'env' and tagValue eq 'test'").body["value"]
        assert sorted(resource["name"] for resource in found) == ["web", "web-disk"]
        (host,) = world.rows()["hosts"]
        assert (host["used_vcpus"], host["used_memory"]) == (1, 1 << 30)
        world.settle()
        assert world.arm.get((old / "link").read_text()).body["status"] == "Succeeded"
        consistent(world.control, world.host, quiet=True)
        assert world.arm.power(WEB) == "running"


def test_old_resources_can_be_changed_and_deleted(old: Path) -> None:
    with opened(old, Clock()) as world:
        world.settle()
        arm = world.arm
        arm.done(put_vm(arm))
        arm.done(arm.call("PATCH", WEB, {"properties": {"hardwareProfile": {"vmSize": "Standard_B2s"}}}))
        arm.done(arm.post(f"{WEB}/deallocate"))
        arm.done(arm.post(f"{WEB}/start"))
        consistent(world.control, world.host, quiet=True)
        arm.done(arm.delete("resourceGroups/rg"))
        consistent(world.control, world.host, quiet=True)
        assert not world.rows()["resources"] and not world.rows()["host_specs"]


def test_tags_that_differ_by_case_only_hinder_no_upgrade(old: Path) -> None:
    with closing(sqlite3.connect(old / "skerry.db")) as connection:
        connection.execute(
            'UPDATE resources SET body = replace(CAST(body AS TEXT), \'"tags":{\', \'"tags":{"ENV":"x",\')'
        )
        connection.execute("UPDATE resources SET body = CAST(body AS BLOB)")
        connection.commit()
    with opened(old, Clock()) as world:
        assert world.arm.get(WEB).status == 200


def _revision(world: World) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(world.folder / "skerry.db")) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute("SELECT version_num FROM alembic_version").fetchall()
