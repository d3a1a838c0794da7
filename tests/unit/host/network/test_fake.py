import os
from pathlib import Path
from typing import Literal

import pytest

from skerry.host.errors import HostError
from skerry.host.network.driver import NetworkDriver
from skerry.host.network.fake import FakeNetwork
from skerry.hostspec import PortSpec, VnetSpec

VNET = VnetSpec("v", (), (), (), (PortSpec("p", "vm", "52:54:00:00:00:01", "10.0.0.4", "s", "h"),))


class NoPlatform:
    def metadata(self, port: str) -> str | None:
        return None

    def vm(self, port: str) -> str | None:
        return None

    def report_health(self, port: str, state: Literal["Ready", "NotReady"], description: str) -> None:
        raise AssertionError


def test_it_remembers_and_gives_descriptors(tmp_path: Path) -> None:
    fake = FakeNetwork(tmp_path, NoPlatform())
    network: NetworkDriver = fake
    network.apply([VNET])
    assert fake.applied == [(VNET,)]
    os.close(network.tap("p"))
    with pytest.raises(HostError, match="in no network"):
        network.tap("q")
    network.close(keep=True)
    assert fake.kept is True


def test_it_fails_once_when_told(tmp_path: Path) -> None:
    fake = FakeNetwork(tmp_path, NoPlatform())
    fake.fail_next = "no luck"
    with pytest.raises(HostError, match="no luck"):
        fake.apply([VNET])
    fake.apply([VNET])
