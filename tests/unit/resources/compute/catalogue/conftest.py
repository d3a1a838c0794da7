"""A store whose host reports images, and the catalogue's views on it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from skerry.arm.descriptor import ViewContext, check_query
from skerry.arm.registry import Registry
from skerry.arm.secrets import Secrets
from skerry.arm.service import Installation, ResourceService
from skerry.hostspec import HostCapacity, ImageObserved, Observed
from skerry.resources.compute.catalogue import VIEWS
from skerry.store import Store, UnitOfWork
from skerry.store.tables import metadata

Report = Callable[..., UnitOfWork]


def _image(name: str = "debian-12-1", **changes: object) -> ImageObserved:
    """The image that `skerry image build debian-12` makes."""
    values = {
        "id": name,
        "publisher": "Debian",
        "offer": "debian-12",
        "sku": "12-gen2",
        "version": "0.20260101.1",
        "alias": "Debian12",
        **changes,
    }
    return ImageObserved(**values)  # type: ignore[arg-type]


@pytest.fixture
def image() -> Callable[..., ImageObserved]:
    """Makes images that differ from Debian 12 in what is named."""
    return _image


@pytest.fixture
def work(tmp_path: Path) -> Iterator[UnitOfWork]:
    """A transaction on an empty store with one host."""
    store = Store(tmp_path / "skerry.db")
    with store.write() as found:
        metadata.create_all(found.connection)
        found.hosts.add("local")
        yield found
    store.close()


@pytest.fixture
def report(work: UnitOfWork) -> Report:
    """Let the host report these images."""

    def record(*images: ImageObserved) -> UnitOfWork:
        work.hosts.record("local", Observed(1, HostCapacity(2, 1 << 32, 1 << 40, "fake"), images=images))
        return work

    return record


class NoHosts:
    """Views ask no host for anything."""

    def serial_log(self, vm: str) -> bytes | None:
        """Fails the test."""
        raise AssertionError(f"a view asked for the log of {vm}")


@pytest.fixture
def get(work: UnitOfWork) -> Callable[..., Any]:
    """GETs a view by its path below `providers/`, with its query; raises its refusals."""
    registry = Registry([], VIEWS)
    service = ResourceService(registry, Installation("sub", "tenant", "https://here", Secrets(bytes(32))), NoHosts())

    def call(path: str, query: dict[str, str] | None = None) -> Any:
        found = registry.view(path.split("/"))
        assert found is not None, f"{path} is no view"
        view, named = found
        check_query(view.query, query or {})
        return view.run(ViewContext(work, service, "sub", named, query or {}, "https://here"))

    return call
