"""A database is full, read-only or broken: requests are refused and say so, reads go on; and so does all, after it."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import structlog
from tests.consistent import consistent
from tests.engine.scenarios import VMS, put_vm
from tests.engine.stepped import Clock
from tests.engine.world import World, opened

from skerry.store.sql import Session

CAUSES = {
    "full": (sqlite3.SQLITE_FULL, "database or disk is full"),
    "read-only": (sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
    "broken": (sqlite3.SQLITE_IOERR, "disk I/O error"),
}


@contextmanager
def refusing(cause: str, at: str) -> Iterator[None]:
    """SQLite refuses to write, or to commit what was written."""
    number, message = CAUSES[cause]
    run, control, wrote = Session.run, Session.control, set[int]()

    def fail() -> None:
        error = sqlite3.OperationalError(message)
        error.sqlite_errorcode = number
        raise error

    def on_run(session: Session, statement: Any, values: Any) -> None:
        if at == "write":
            fail()
        wrote.add(id(session))
        run(session, statement, values)

    def on_control(session: Session, sql: str) -> None:
        if sql == "COMMIT" and id(session) in wrote:
            wrote.discard(id(session))
            fail()
        control(session, sql)

    with mock.patch.multiple(Session, run=on_run, control=on_control):
        yield


@pytest.mark.parametrize("at", ["write", "commit"])
@pytest.mark.parametrize("cause", CAUSES)
def test_nothing_changes_reads_go_on_and_all_goes_on_afterwards(tmp_path: Path, cause: str, at: str) -> None:
    with opened(tmp_path / "state", Clock()) as world:
        world.arm.nic(world.arm.group(), "web-nic")
        answer, before = put_vm(world.arm), world.rows()
        with refusing(cause, at):
            refused = world.arm.put("resourceGroups/other", {"location": "local"})
            assert (refused.status, refused.code) == (503, "ServiceUnavailable")
            assert "again" in refused.message
            assert world.arm.get("resourceGroups/rg").status == 200
            assert world.arm.get(answer.headers["azure-asyncoperation"]).body["status"] == "InProgress"
            for _ in range(20):
                with pytest.raises(Exception, match=CAUSES[cause][1]):
                    world.control.engine.run_due()
        assert {name: rows for name, rows in world.rows().items() if name != "hosts"} == {
            name: rows for name, rows in before.items() if name != "hosts"
        }
        world.arm.done(answer)
        assert world.arm.put("resourceGroups/other", {"location": "local"}).status == 201
        consistent(world.control, world.host, quiet=True)


def _wait(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def _fill(folder: Path) -> None:
    """Until not a byte more fits."""
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    ballast.write(b"x" * size)
            except OSError:
                continue


def on_a_small_disk(folder: Path) -> dict[str, Any]:
    """Run on a file system of 4 MB of its own: what was answered while it was full, and afterwards."""
    lines: list[dict[str, Any]] = []

    def keep(_logger: Any, _method: str, event: Any) -> str:
        lines.append(dict(event))
        return ""

    structlog.configure(processors=[keep])
    world = World(folder / "state", Clock())
    world.arm.nic(world.arm.group(), "web-nic")
    answer = put_vm(world.arm)
    _fill(folder)
    lines.clear()
    world.control.start()
    time.sleep(3)
    refused = world.arm.put("resourceGroups/other", {"location": "local"})
    found = {
        "said": Counter(line["event"] for line in lines),
        "put": [refused.status, refused.code],
        "get": world.arm.get("resourceGroups/rg").status,
    }
    (folder / "ballast").unlink()
    vm = f"resourceGroups/rg/{VMS}/web"

    def made() -> bool:
        world.agent.step()
        return bool(world.arm.get(vm).body["properties"]["provisioningState"] == "Succeeded")

    _wait(made)
    found["after"] = world.arm.put("resourceGroups/other", {"location": "local"}).status
    found["status"] = world.arm.get(answer.headers["azure-asyncoperation"]).body["status"]
    world.control.engine.stop()
    world.close()
    return found


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("a file system of its own needs root")
    mount = 'mount -t tmpfs -o size=4m none "$1" && exec "$2" -m tests.engine.test_no_database "$1"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, "sh", str(tmp_path), sys.executable],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    said = found.pop("said")
    assert said["operations wait for the database"] == 1
    assert max(said.values()) <= 5, said  # in three seconds
    assert found == {
        "put": [503, "ServiceUnavailable"],
        "get": 200,
        "after": 201,
        "status": "Succeeded",
    }


if __name__ == "__main__":
    print(json.dumps(on_a_small_disk(Path(sys.argv[1]))))
