"""Searches find what they should, page by page, and read an index in key order: nothing is gone through or sorted."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tests.postgresql import Server

from skerry.store import ResourceRow, Search, Store, UnitOfWork
from skerry.store.migrate import prepare

VM, DISK, OTHER = "compute/vms", "compute/disks", "resources/deployments"
BOTH = Search((VM, DISK))
GROUPS = "/g/"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("search") / "skerry.db"
    prepare(path)
    found = Store(path)
    _fill(found)
    yield found
    found.close()


def _fill(store: Store) -> None:
    with store.write() as work:
        for number, group, kind in itertools.product(range(20), ("a", "b"), (VM, DISK, OTHER)):
            row = _row(number, group, kind)
            work.resources.save(row)
            work.resources.set_tags(row.key, {"Env": "prod" if number % 2 else "test", f"n{number}": "x"})


def _row(number: int, group: str, kind: str) -> ResourceRow:
    name = f"Item{number:02}"
    return ResourceRow(
        key=f"{GROUPS}{group}/{kind}/{name.lower()}",
        id=name,
        type=kind,
        group_key=f"{GROUPS}{group}",
        name=name,
        location="East US" if number < 5 else "local",
        body=b"{}",
    )


CASES = {
    "one type": (Search((VM,)), 40),
    "types": (BOTH, 80),
    "group": (replace(BOTH, groups=("/g/a",)), 40),
    "two groups": (replace(BOTH, groups=("/g/a", "/g/b")), 0),
    "no type": (Search(()), 0),
    "name": (replace(BOTH, name="item07"), 4),
    "name in a group": (replace(BOTH, name="item07", groups=("/g/b",)), 2),
    "location": (replace(BOTH, location="eastus"), 20),
    "location of a type in a group": (Search((VM,), groups=("/g/a",), location="eastus"), 5),
    "tag": (replace(BOTH, tag="env"), 80),
    "tag with value": (replace(BOTH, tag="env", tag_value="prod"), 40),
    "tag with another value": (replace(BOTH, tag="env", tag_value="PROD"), 0),
    "tag of a type in a group": (Search((DISK,), groups=("/g/a",), tag="env", tag_value="test"), 10),
    "start of a tag": (replace(BOTH, tag_start="n1"), 44),
    "any tag": (replace(BOTH, tag_start=""), 80),
    "part of a name": (replace(BOTH, name_part="m1"), 40),
    "part of a group's name": (replace(BOTH, group_part="b", group_start=len(GROUPS) + 1), 40),
}


@pytest.mark.parametrize("name", CASES)
def test_pages_together_have_all_in_order(store: Store, name: str) -> None:
    search, count = CASES[name]
    found: list[str] = []
    with store.read() as work:
        while page := work.resources.find(search, found[-1] if found else "", 7):
            assert len(page) == 7 or len(found) + len(page) == count
            found += [row.key for row in page]
    assert len(found) == count
    assert found == sorted(found)


def plan(search: Search, work: UnitOfWork) -> str:
    """How the database would find the keys."""
    form = search.statement.on(work.session.dialect)
    values = {**form.fixed, **search.values, "after": "", "limit": 7}
    raw: Any = work.connection.connection.driver_connection
    if work.session.dialect == "sqlite":
        cursor = raw.execute(f"EXPLAIN QUERY PLAN {form.text}", values)
    else:
        cursor = psycopg.RawCursor(raw).execute(f"EXPLAIN {form.text}".encode(), [values[name] for name in form.names])
    return "\n".join(row[-1] for row in cursor.fetchall())


@pytest.mark.parametrize("name", [name for name, (search, _) in CASES.items() if search.possible])
def test_an_index_is_read_in_order(store: Store, name: str) -> None:
    with store.read() as work:
        found = plan(CASES[name][0], work)
    assert "SCAN" not in found
    assert "TEMP B-TREE" not in found


def test_postgresql_reads_an_index_in_order_too(postgresql: Server) -> None:
    url = postgresql.prepared()
    store = Store(url)
    try:
        _fill(store)
        with store.read() as work:
            # What it thinks of a few rows says nothing: it shall tell whether it could do without.
            work.connection.exec_driver_sql("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
            work.connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off; SET LOCAL enable_hashjoin = off")
            found = {name: plan(search, work) for name, (search, _) in CASES.items() if search.possible}
    finally:
        store.close()
        postgresql.drop(url)
    assert not {name: plan for name, plan in found.items() if "Seq Scan" in plan or "Sort  " in plan}
