"""A Skerry on a state folder and a port of its own, for as long as a benchmark needs it."""

import json
import os
import shlex
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.processes import CommandFailed, run
from skerry.cli.client import Client
from skerry.cli.state import credentials, needed

T = TypeVar("T")

PROGRAM = Path(sys.executable).with_name("skerry")
START_SECONDS, STOP_SECONDS = 120, 400
IMAGE_SECONDS, AZ_SECONDS = 1800, 300


class TooSlow(Exception):
    """What a benchmark waits for didn't come; says what."""


@dataclass(frozen=True)
class Skerry:
    """A running Skerry and a client that is logged in to it."""

    folder: Path
    client: Client
    pid: int
    port: int

    @property
    def state(self) -> Path:
        """Its state folder."""
        return self.folder / "state"

    @property
    def environment(self) -> dict[str, str]:
        """For the commands of `skerry`."""
        return {**os.environ, "SKERRY_STATE": str(self.state)}

    def exports(self, az: Path) -> dict[str, str]:
        """For `az`, once it is logged in here."""
        environment = {**self.environment, "SKERRY_AZ": str(az)}
        lines = run([PROGRAM, "env"], environment=environment, timeout=AZ_SECONDS).output.splitlines()
        pairs = [shlex.split(line)[1].partition("=") for line in lines]
        return {**environment, **{name: value for name, _, value in pairs}}

    def token(self) -> str:
        """A bearer token."""
        self.client.list(f"{self.client.subscription}/resourceGroups")
        return str(json.loads(_token_file(self.folder).read_bytes())["token"])


@contextmanager
def skerry(*options: str, image: bool) -> Iterator[Skerry]:
    """Start it with `options` of `skerry up`, having built the image if `image`; at the end stop it and its guests.

    It makes no templates unless the options say so: that takes CPU time, and VMs would start warm.
    """
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as name:
        folder, port = Path(name), free_port()
        environment = {**os.environ, "SKERRY_STATE": str(folder / "state")}
        if image:
            run([PROGRAM, "image", "build", "debian-12"], environment=environment, timeout=IMAGE_SECONDS)
        try:
            up: list[str | Path] = [PROGRAM, "up", "--detach", "--port", str(port), "--warm", "off", *options]
            run(up, environment=environment, timeout=START_SECONDS)
            yield connect(folder)
        finally:
            _stop(folder / "state", environment)


def connect(folder: Path) -> Skerry:
    """The Skerry that runs on `folder`, with a client of its own: one serves one thread."""
    state = folder / "state"
    server = needed(state)
    client = Client(server.base_url, state / "tls" / "ca.pem", credentials(state), _token_file(folder))
    return Skerry(folder, client, server.pid, server.port)


def _token_file(folder: Path) -> Path:
    return folder / "token.json"


def _stop(state: Path, environment: dict[str, str]) -> None:
    """`skerry down`; a server that doesn't obey is killed, and what it leaves is cleaned up by the next `down`."""
    down: list[str | Path] = [PROGRAM, "down"]
    try:
        run(down, environment=environment, timeout=STOP_SECONDS)
    except CommandFailed:
        with suppress(OSError, ValueError, KeyError):
            os.kill(int(json.loads((state / "skerry.pid").read_bytes())["pid"]), signal.SIGKILL)
        run(down, environment=environment, timeout=STOP_SECONDS)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(look: Callable[[], T | None], seconds: float, what: str, pause: float = 0.2) -> T:
    """What `look` finds in the end. Raises TooSlow."""
    end = time.monotonic() + seconds
    while (found := look()) is None:
        if time.monotonic() > end:
            raise TooSlow(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)
    return found


def succeeded(client: Client, path: str) -> dict[str, Any] | None:
    """The resource once it is done; None before. Raises TooSlow for one that failed."""
    found = client.get(path)
    state = found["properties"]["provisioningState"]
    if state == "Failed":
        raise TooSlow(f"{path} failed")
    return dict(found) if state == "Succeeded" else None
