"""Units of work: all or nothing; specs get revisions; reports are stored once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.hostspec import (
    CheckpointObserved,
    CheckpointSpec,
    DiskSpec,
    HostCapacity,
    ImageObserved,
    Observed,
    VmObserved,
)
from skerry.store import Link, OperationRow, Origin, ResourceRow, Store
from skerry.store.migrate import HEAD, NewerState, prepare


@pytest.fixture
def store(database: str | Path) -> Iterator[Store]:
    found = Store(database)
    yield found
    found.close()


def row(key: str, **changes: object) -> ResourceRow:
    values: dict[str, object] = {
        "key": key,
        "id": key.upper(),
        "type": "t",
        "group_key": "g",
        "name": key,
        "body": b"{}",
    }
    return ResourceRow(**{**values, **changes})  # type: ignore[arg-type]


class Broken(Exception):
    pass


def test_a_block_that_raises_leaves_nothing(store: Store) -> None:
    with pytest.raises(Broken), store.write() as work:
        work.resources.save(row("a"))
        raise Broken
    with store.read() as work:
        assert work.resources.get("a") is None


def test_a_saved_row_comes_back_with_a_new_etag_each_time(store: Store) -> None:
    with store.write() as work:
        work.resources.save(row("a", private={"x": [1]}))
    with store.write() as work:
        first = work.resources.get("a")
        assert first is not None
        etag = first.etag
        work.resources.save(first)
    with store.read() as work:
        again = work.resources.get("a")
    assert again is not None
    assert again.private == {"x": [1]}
    assert again.etag != etag
    assert again.created == first.created <= again.changed


def test_lists_go_on_after_a_key(store: Store) -> None:
    with store.write() as work:
        for key in "cab":
            work.resources.save(row(key))
    with store.read() as work:
        assert [r.key for r in work.resources.list(type="t", limit=2)] == ["a", "b"]
        assert [r.key for r in work.resources.list(group="g", after="b")] == ["c"]
        assert work.resources.list(type="other") == []
        assert work.resources.count("t") == 3


def test_links_go_with_their_source(store: Store) -> None:
    with store.write() as work:
        work.resources.save(row("a"))
        work.resources.set_links("a", [Link("a", "b", "nic"), Link("a", "b", "nic"), Link("a", "c", "nsg", "p")])
        assert [link.source for link in work.resources.links_to("b", "nic")] == ["a"]
        work.resources.delete("a")
        assert work.resources.links_to("b") == []


def test_a_prefix_is_no_pattern(store: Store) -> None:
    with store.write() as work:
        work.resources.save(row("a_b/x"))
        work.resources.save(row("aXb/x"))
    with store.read() as work:
        assert [r.key for r in work.resources.list(prefix="a_b")] == ["a_b/x"]


def test_a_spec_change_raises_the_revision_and_tells(store: Store) -> None:
    told = []
    store.on_spec_change = lambda: told.append(True)
    with store.write() as work:
        work.hosts.add("local")
        before = work.hosts.revision("local")
    with store.write() as work:
        assert work.hosts.put("local", DiskSpec("d", 1)) == before + 1
    with store.write() as work:
        assert work.hosts.put("local", DiskSpec("d", 1)) == before + 1
    assert told == [True]
    with store.read() as work:
        assert work.hosts.spec("local").disks == (DiskSpec("d", 1),)


def test_a_report_is_news_once(store: Store) -> None:
    capacity = HostCapacity(2, 1, 1, "fake")
    report = Observed(3, capacity, (VmObserved("v", "running"),), images=(ImageObserved("i", "p", "o", "s", "1"),))
    with store.write() as work:
        work.hosts.add("local")
        assert work.hosts.record("local", report)
        assert not work.hosts.record("local", report)
        assert work.hosts.applied("local") == 3
        assert work.hosts.vm("local", "v") == VmObserved("v", "running")
        assert [image.id for image in work.hosts.images()] == ["i"]
        assert work.hosts.record("local", Observed(3, capacity))
        assert work.hosts.vm("local", "v") is None


def test_a_checkpoint_is_wanted_and_seen(store: Store) -> None:
    wanted, seen = CheckpointSpec("c", "v", ("d",), memory=True), CheckpointObserved("c", ready=True, memory=True)
    with store.write() as work:
        work.hosts.add("local")
        work.hosts.put("local", wanted)
        assert work.hosts.record("local", Observed(1, HostCapacity(2, 1, 1, "fake"), checkpoints=(seen,)))
        assert work.hosts.spec("local").checkpoints == (wanted,)
        assert work.hosts.checkpoint("local", "c") == seen
        work.hosts.drop("local", "checkpoint", "c")
        assert work.hosts.spec("local").checkpoints == ()


def test_operations_wait_and_wake(store: Store) -> None:
    told = []
    store.on_operation_change = lambda: told.append(True)
    operation = OperationRow("o", "kind", "a", "A", "start", deadline=1e12, resume_at=500.0, waits_for="local")
    with store.write() as work:
        work.operations.add(operation)
        assert work.operations.due(499, 10) == []
        assert work.operations.next_resume(499) == 500.0
        assert work.operations.wake(host="local") == 1
        assert work.operations.due(1, 10) == ["o"]
    assert told == [True]


def test_an_operation_remembers_who_began_it(store: Store) -> None:
    with store.write() as work:
        work.origin = Origin("request", "correlation", "me")
        work.operations.add(OperationRow("o", "k", "a", "A", "start", deadline=0))
    with store.read() as work:
        found = work.operations.get("o")
    assert found is not None
    assert found.origin == Origin("request", "correlation", "me")


def test_a_newer_schema_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "skerry.db"
    prepare(path)
    store = Store(path)
    with store.write() as work:
        work.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    store.close()
    before = path.read_bytes()
    with pytest.raises(NewerState, match=HEAD):
        prepare(path)
    assert path.read_bytes() == before
