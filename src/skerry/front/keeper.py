"""The control plane's end: keeps a front running, and answers what it hands on."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skerry.arm.access import Watched
from skerry.front.wire import Channel, Frame, Ready, Request, Response, Start, Stop, Told
from skerry.host.run import start as start_program

log = structlog.get_logger()

AGAIN_SECONDS = 0.5  # until another front is started for one that died
STOP_SECONDS = 15.0  # that a front has to finish what is under way


class FrontFailed(Exception):
    """The front ended before it served."""


class Keeper:
    """One per control plane. The first front loads from now on, while the control plane itself starts."""

    def __init__(self, listeners: Sequence[socket.socket]) -> None:
        self._listeners = listeners
        self._app: ASGIApp = _unready
        self._tell: Callable[[Watched], None] = lambda _request: None
        self._on_ready: Callable[[], None] = lambda: None
        self._tasks: set[asyncio.Task[None]] = set()
        self._channel: Channel | None = None
        self._ready = False
        self._stopping = asyncio.Event()
        self._process, self._socket = self._spawn()

    def stop(self) -> None:
        """Let the front finish, and end."""
        self._stopping.set()
        if self._channel is not None:
            self._channel.send(Stop())

    def close(self) -> None:
        """End a front that was never used."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    async def run(
        self, app: ASGIApp, start: Start, tell: Callable[[Watched], None], on_ready: Callable[[], None]
    ) -> None:
        """Serve until `stop`. `app` answers what the front doesn't, `tell` hears of what it does.

        `on_ready` is called once. Raises FrontFailed when there can't be a front.
        """
        self._app, self._tell, self._on_ready = app, tell, on_ready
        while not self._stopping.is_set():
            status = await self._serve(start)
            if self._stopping.is_set():
                return
            if not self._ready:
                raise FrontFailed(f"The process that clients speak to ended with status {status} before it served.")
            log.error("the process that clients speak to has ended; starting another", status=status)
            await asyncio.sleep(AGAIN_SECONDS)
            self._process, self._socket = self._spawn()

    async def _serve(self, start: Start) -> int:
        """Work with the present front until its end; its exit status."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        _, channel = await loop.create_connection(
            lambda: Channel(lambda frame: self._on_frame(channel, frame), ended.set), sock=self._socket
        )
        self._channel = channel
        channel.send(start)
        until = {loop.create_task(ended.wait()), loop.create_task(self._overdue())}
        _, rest = await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        channel.close()
        return await asyncio.to_thread(_reaped, self._process)

    async def _overdue(self) -> None:
        await self._stopping.wait()
        await asyncio.sleep(STOP_SECONDS)

    def _spawn(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        with theirs:
            passed = [theirs.fileno(), *(listener.fileno() for listener in self._listeners)]
            argv = [sys.executable, "-m", "skerry.front", *(str(number) for number in passed)]
            return start_program(argv, pass_fds=passed, output=1, environment=_environment()), ours

    def _on_frame(self, channel: Channel, frame: Frame) -> None:
        if isinstance(frame, Request):
            task = asyncio.get_running_loop().create_task(self._answer(channel, frame))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif isinstance(frame, Told):
            sys.stdout.write(frame.lines)
            sys.stdout.flush()
            for found in frame.answered:
                self._tell(Watched(found.method, found.path, "", "", found.status, found.seconds))
        elif isinstance(frame, Ready) and not self._ready:
            self._ready = True
            self._on_ready()

    async def _answer(self, channel: Channel, request: Request) -> None:
        found = Response(request.number, 500, [(b"content-type", b"text/plain")], b"Internal Server Error")
        try:
            found = await answered(self._app, request)
        except Exception:
            log.exception("request failed")
        channel.send(found)


async def _unready(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("a request came before the application")


async def answered(app: ASGIApp, request: Request) -> Response:
    """What an ASGI application answers."""
    status, headers, body = 500, [], bytearray()
    messages = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message.get("headers", ()))
        else:
            body.extend(message.get("body", b""))

    await app(_scope(request), receive, send)
    return Response(request.number, status, headers, bytes(body))


def _scope(request: Request) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.http_version,
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "raw_path": request.raw_path,
        "query_string": request.query,
        "headers": request.headers,
        "client": (request.client, 0),
        "server": None,
        "root_path": "",
    }


def _environment() -> dict[str, str]:
    """Ours, without the database's URL: it may have a password, and comes with `Start`."""
    return {name: value for name, value in os.environ.items() if name != "SKERRY_DATABASE"}


def _reaped(process: subprocess.Popen[bytes]) -> int:
    """The exit status of a front that has closed its socket, or is to end now."""
    try:
        return process.wait(1)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
