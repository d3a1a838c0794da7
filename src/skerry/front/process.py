"""The front's process: TLS, and everything from there to the answer of a brief read."""

import asyncio
import gc
import os
import socket
import sys
import threading
from collections.abc import Sequence
from io import TextIOBase
from pathlib import Path

import structlog
import uvicorn
from starlette.types import ASGIApp

from skerry import logs
from skerry.arm.access import Watched
from skerry.arm.app import create_app
from skerry.arm.routes import Routes
from skerry.arm.secrets import Secrets
from skerry.arm.service import Installation, ResourceService
from skerry.authentication import authenticator
from skerry.front import NAMES, SWITCH_SECONDS
from skerry.front.app import Front
from skerry.front.wire import Answered, Channel, Frame, Ready, Response, Start, Stop, Told, first
from skerry.identity import Identity, ensure_tls
from skerry.resources.registry import build_registry
from skerry.store import Store

log = structlog.get_logger()

TELL_SECONDS = 0.25
READERS = 4  # of brief reads, one round trip each; to open a connection takes as long as a hundred of them
TLS_CHECK_SECONDS = 12 * 3600.0


class _Lines(TextIOBase):
    """Standard output, kept until it is told: one process writes the log, and rotates it."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._kept: list[str] = []

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        self._kept.append(text)
        return len(text)

    def taken(self) -> str:
        kept, self._kept = self._kept, []
        return "".join(kept)


class _NoHosts:
    """A read asks no host."""

    def serial_log(self, vm: str) -> bytes | None:
        raise AssertionError(f"a read asked for the serial log of {vm}")


class _Link:
    """This end of the socket to the control plane."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines
        self._answered: list[Answered] = []
        self._channel: Channel | None = None
        self.front: Front | None = None
        self.server: uvicorn.Server | None = None

    async def open(self, control: socket.socket) -> None:
        """Say that the front serves, and from then on what it has done."""
        loop = asyncio.get_running_loop()
        _, self._channel = await loop.create_connection(lambda: Channel(self._on_frame, self._on_end), sock=control)

    def send(self, frame: Frame) -> None:
        """To the control plane."""
        if self._channel is not None:
            self._channel.send(frame)

    def answered(self, request: Watched) -> None:
        """A request was answered here."""
        self._answered.append(Answered(request.method, request.path, request.status, request.seconds))

    def tell(self) -> None:
        """Tell what was answered and logged, again and again."""
        answered, self._answered = self._answered, []
        lines = self._lines.taken()
        if answered or lines:
            self.send(Told(answered, lines))
        asyncio.get_running_loop().call_later(TELL_SECONDS, self.tell)

    def _on_frame(self, frame: Frame) -> None:
        if isinstance(frame, Response) and self.front is not None:
            self.front.answered(frame)
        elif isinstance(frame, Stop) and self.server is not None:
            self.server.should_exit = True

    def _on_end(self) -> None:
        os._exit(1)  # the control plane is gone: the next one needs the port


class _Server(uvicorn.Server):
    """uvicorn, with the link to the control plane open before it serves."""

    def __init__(self, config: uvicorn.Config, link: _Link, control: socket.socket) -> None:
        super().__init__(config)
        self._link, self._control = link, control

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self._link.open(self._control)
        await super().startup(sockets=sockets)
        self._link.send(Ready())
        self._link.tell()
        # All that is loaded stays: a full collection would go through it each time and stop every request for 50 ms.
        gc.collect()
        gc.freeze()


def serve(control: socket.socket, listeners: Sequence[socket.socket]) -> None:
    """Serve until the control plane says stop, or is gone."""
    try:
        start = first(control)
    except EOFError:  # the control plane couldn't start
        return
    assert isinstance(start, Start)
    sys.stdout = lines = _Lines(start.terminal)
    logs.configure()
    sys.setswitchinterval(SWITCH_SECONDS)
    state, link = Path(start.state), _Link(lines)
    app = link.front = _front(start, link)
    config = _config(state, app)
    threading.Thread(target=_renew, args=(state, config), name="tls", daemon=True).start()
    link.server = _Server(config, link, control)
    link.server.run(sockets=list(listeners))


def _front(start: Start, link: _Link) -> Front:
    state = Path(start.state)
    identity, secrets = Identity.load(state, start.base_url), Secrets((state / "keys" / "secrets.key").read_bytes())
    installation = Installation(identity.subscription_id, identity.tenant_id, identity.base_url, secrets)
    store = Store(start.database, READERS)
    store.open()
    routes = Routes(store, ResourceService(build_registry(), installation, _NoHosts()))
    return Front(routes, create_app(routes, authenticator(identity), (), link.answered), link.send)


def _config(state: Path, app: ASGIApp) -> uvicorn.Config:
    tls = ensure_tls(state, NAMES)
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody stands between: no client says for another where it comes from
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        ssl_certfile=tls.cert,
        ssl_keyfile=tls.key,
    )


def _renew(state: Path, config: uvicorn.Config) -> None:
    """Renew the certificate before it ends, also while serving."""
    pause = threading.Event()
    while not pause.wait(TLS_CHECK_SECONDS):
        try:
            files = ensure_tls(state, NAMES)
            if config.ssl is not None:
                config.ssl.load_cert_chain(files.cert, files.key)
        except Exception:
            log.exception("the certificate could not be renewed; trying again later")
