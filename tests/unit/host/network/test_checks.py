import socket
from collections.abc import Iterator

import pytest

from skerry.host.errors import HostError
from skerry.host.network import checks, netns
from skerry.host.run import ENVIRONMENT


@pytest.fixture
def bare_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No program is installed, no namespace may be made."""

    def refuse(work: object) -> None:
        raise HostError("not permitted")

    monkeypatch.setitem(ENVIRONMENT, "PATH", "/nonexistent")
    monkeypatch.setattr(netns, "inside_new", refuse)
    yield


def test_what_is_missing_is_said_with_the_way_to_mend_it(bare_host: None) -> None:
    by_name = {check.name: check for check in checks.check()}
    assert by_name["slirp4netns"].mend == "apt-get install slirp4netns"
    assert by_name["dnsmasq"].mend == "apt-get install dnsmasq-base"
    for name in ("nft", "network namespaces", "TAP devices", "kernel packet filter"):
        assert not by_name[name].ok
        assert by_name[name].mend


def test_a_listener_on_every_address_is_found(bare_host: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        monkeypatch.setattr(checks, "_SSH", listener.getsockname()[1])
        found = checks.check()[-1]
        assert not found.ok
        assert "ListenAddress" in found.mend
