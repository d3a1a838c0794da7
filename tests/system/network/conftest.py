import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.network.lab import Lab

from skerry.host.network.routed import leftovers


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    state = tmp_path_factory.mktemp("state")
    umask = os.umask(0o077)  # as the server has it: daemons of other users must get along with it
    with Lab(state) as lab:
        yield lab
    os.umask(umask)
    assert leftovers(state) == []


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """The module's lab; guests, networks and listeners of a test end with it."""
    yield shared_lab
    shared_lab.clear()
    shared_lab.apply()


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab of the test's own, for what restarts or closes the driver."""
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    with Lab(tmp_path / "state") as lab:
        yield lab
