"""The control plane's end of a host: a spec only when it is newer, a report only when it is news."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.engine.hostlink import HostLink
from skerry.hostspec import DiskSpec, HostCapacity, Observed, VmObserved
from skerry.store import OperationRow, Store
from skerry.store.migrate import prepare

CAPACITY = HostCapacity(2, 1 << 30, 1 << 30, "fake")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    prepare(tmp_path / "skerry.db")
    found = Store(tmp_path / "skerry.db")
    yield found
    found.close()


def test_an_agent_waits_until_there_is_something_newer(store: Store) -> None:
    link = HostLink(store, "local")
    store.on_spec_change = link.notify
    first = link.desired(0, 0)
    assert first is not None
    assert link.desired(first.revision, 0.01) is None
    found = []
    waiter = threading.Thread(target=lambda: found.append(link.desired(first.revision, 30)))
    waiter.start()
    with store.write() as work:
        work.hosts.put("local", DiskSpec("d", 1))
    waiter.join(10)
    assert found[0] is not None
    assert found[0].disks == (DiskSpec("d", 1),)


def test_closing_ends_the_wait(store: Store) -> None:
    link = HostLink(store, "local")
    present = link.desired(0, 0)
    assert present is not None
    link.close()
    assert link.desired(present.revision, 30) is None


def test_news_wake_operations_that_wait_for_them(store: Store) -> None:
    link, soon = HostLink(store, "local"), time.time() + 30
    with store.write() as work:
        work.operations.add(OperationRow("o", "k", "a", "A", "start", deadline=1e12, resume_at=soon, waits_for="local"))
    link.report(Observed(1, CAPACITY, (VmObserved("v", "running"),)))
    with store.write() as work:
        assert work.operations.due(time.time(), 1) == ["o"]
        operation = work.operations.get("o")
        assert operation is not None
        operation.resume_at = soon
        work.operations.save(operation)
    link.report(Observed(1, CAPACITY, (VmObserved("v", "running"),)))
    with store.read() as work:
        assert work.operations.due(time.time(), 1) == []
