"""A whole control plane on a fake host, driven over ASGI with a real token."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.client import BASE, Arm, FakeHost
from tests.consistent import consistent

from skerry.arm.secrets import Secrets
from skerry.arm.service import Installation
from skerry.authentication import authenticator
from skerry.control import ControlPlane
from skerry.host.agent import Agent
from skerry.identity import Identity
from skerry.identity import routes as identity_routes
from skerry.links import open_routes
from skerry.resources.compute.catalogue.images import alias_document


class Gateway:
    """The way to the agent, which is made after the control plane."""

    agent: Agent | None = None

    def serial_log(self, vm: str) -> bytes | None:
        """The agent's answer."""
        return self.agent.serial_log(vm) if self.agent else None


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """Keys and account, made once: RSA takes its time."""
    return Identity.load(tmp_path_factory.mktemp("identity"), BASE)


@pytest.fixture
def arm(database: str | Path, identity: Identity) -> Iterator[Arm]:
    """The API on a fake host that has the Debian 12 image."""
    gateway, secrets = Gateway(), Secrets(bytes(32))
    installation = Installation(identity.subscription_id, identity.tenant_id, BASE, secrets)
    control = ControlPlane(database, installation, gateway)
    host = FakeHost.of(control.link)
    gateway.agent = host.agent

    def aliases() -> dict[str, Any]:
        with control.store.read() as work:
            return alias_document(work)

    app = control.app(
        authenticator(identity), [*identity_routes(identity), *open_routes(secrets, control.service, aliases)]
    )
    host.agent.start()
    control.start()
    token = identity.tokens.access(identity.account.application(), BASE)
    client = TestClient(app, base_url=BASE, raise_server_exceptions=False)
    found = Arm(client, token, control, host)
    try:
        _await_images(found)
        yield found
        consistent(control)
    finally:
        client.close()
        control.link.close()
        host.agent.stop(keep_vms=True)
        control.stop()


def _await_images(arm: Arm) -> None:
    """The agent's first report brings the image catalogue."""
    path = "providers/Microsoft.Compute/locations/local/publishers"
    end = time.monotonic() + 10
    while not arm.get(path).body:
        assert time.monotonic() < end, "the fake host reported no image"
        time.sleep(0.01)
