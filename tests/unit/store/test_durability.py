"""SIGKILL of the process around a commit: after it everything is there, before it nothing."""

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from skerry.store import ResourceRow, Store
from skerry.store.migrate import prepare

PROGRAM = """
import os, signal, sys
from skerry.store import ResourceRow, Store
from skerry.store.sql import Session

def die():
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "at the commit":
    Session.end = lambda session, sql: die()
with Store(sys.argv[1]).write() as work:
    work.resources.save(ResourceRow("a", "A", "t", "g", "a", b"{}"))
    if sys.argv[2] == "in the block":
        die()
    work.after_commit.append(die)
"""


@pytest.mark.parametrize(("moment", "kept"), [("in the block", []), ("at the commit", []), ("after the commit", ["a"])])
def test_a_process_killed_around_a_commit(database: str | Path, moment: str, kept: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(database), moment], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    with closing(Store(database)) as store, store.write() as work:  # nobody holds up the next writer
        assert [row.key for row in work.resources.list()] == kept


def test_what_was_deleted_is_in_no_file_any_more(tmp_path: Path) -> None:
    prepare(tmp_path / "db")
    store, secret = Store(tmp_path / "db"), "custom-data " * 500
    row = ResourceRow("/k", "/K", "t", "/g", "k", b"{}", private={"custom_data": secret})
    with store.write() as work:
        work.resources.save(row)
    row.private = {}
    with store.write() as work:
        work.resources.save(row)
    assert b"custom-data" in (tmp_path / "db-wal").read_bytes()
    store.wipe()
    assert not any(b"custom-data" in path.read_bytes() for path in tmp_path.iterdir())
    store.close()
