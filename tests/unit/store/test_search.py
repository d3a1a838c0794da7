"""Searches find what they should, page by page, and read an index in key order: nothing is gone through or sorted."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text

from skerry.store import ResourceRow, Search, Store
from skerry.store.migrate import prepare

VM, DISK, OTHER = "compute/vms", "compute/disks", "resources/deployments"
BOTH = Search((VM, DISK))
GROUPS = "/g/"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("search") / "skerry.db"
    prepare(path)
    found = Store(path)
    with found.write() as work:
        for number, group, kind in itertools.product(range(20), ("a", "b"), (VM, DISK, OTHER)):
            row = _row(number, group, kind)
            work.resources.save(row)
            work.resources.set_tags(row.key, {"Env": "prod" if number % 2 else "test", f"n{number}": "x"})
    yield found
    found.close()


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


@pytest.mark.parametrize("name", [name for name, (search, _) in CASES.items() if search.possible])
def test_an_index_is_read_in_order(store: Store, name: str) -> None:
    search, _ = CASES[name]
    sql, fixed = search.statement.on("sqlite")
    with store.read() as work:
        values = {**fixed, **search.values, "after": "", "limit": 7}
        plan = [row.detail for row in work.connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"), values)]
    assert not [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step], plan
