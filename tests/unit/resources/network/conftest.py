"""A store with a resource group and a host, and the network types on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.resources.network.net import GROUP, HOST, SUBSCRIPTION, Net

from skerry.arm.ids import parse_id
from skerry.arm.registry import Registry
from skerry.arm.secrets import Secrets
from skerry.arm.service import Installation, ResourceService
from skerry.engine.engine import Engine
from skerry.resources.network import (
    network_interface,
    network_security_group,
    public_ip_address,
    virtual_network,
)
from skerry.resources.network.steps import KINDS
from skerry.resources.resources import resource_group
from skerry.store import Store
from skerry.store.tables import metadata

TYPES = (
    *resource_group.TYPES,
    *virtual_network.TYPES,
    *network_security_group.TYPES,
    *public_ip_address.TYPES,
    *network_interface.TYPES,
)


class NoGateway:
    """Nothing here asks a host."""

    def serial_log(self, vm: str) -> bytes | None:
        raise AssertionError(f"asked for the serial log of {vm}")


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    """The network types in an empty resource group `rg`, with one host."""
    store = Store(tmp_path / "skerry.db")
    installation = Installation(SUBSCRIPTION, "tenant", "https://localhost:8443", Secrets(bytes(32)))
    service = ResourceService(Registry(TYPES, ()), installation, NoGateway())
    with store.write() as work:
        metadata.create_all(work.connection)
        work.hosts.add(HOST)
        service.put(work, parse_id(GROUP), {"location": "local"})
    yield Net(store, service, Engine(store, service, {kind.name: kind for kind in KINDS}))
    store.close()
