"""A small cloud that the command line talks to, and the command line itself."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import uvicorn
from click.testing import CliRunner, Result
from tests.unit.cli.cloud import Cloud, Skerry, application

from skerry.cli.app import root
from skerry.cli.state import write_running
from skerry.identity import Identity, ensure_tls


@pytest.fixture(autouse=True)
def own_logs() -> Iterator[None]:
    """Commands turn logs down for their process; the tests' own goes on."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    state = tmp_path / "state"
    tls = ensure_tls(state)
    server = uvicorn.Server(
        uvicorn.Config(lambda: None, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=5)
    )
    server.config.ssl_certfile, server.config.ssl_keyfile = str(tls.cert), str(tls.key)
    # Only where the protocol is named does asyncio turn Nagle's algorithm off: 40 ms an answer otherwise.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    cloud = Cloud(state, Identity.load(state, f"https://localhost:{port}"))
    server.config.app = application(cloud)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    write_running(state, port, cloud.identity.base_url)
    yield cloud
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def skerry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Skerry:
    """Run a command on the cloud's state folder, in a home of its own."""
    monkeypatch.setenv("SKERRY_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(root(), list(words), standalone_mode=True)

    return invoke
