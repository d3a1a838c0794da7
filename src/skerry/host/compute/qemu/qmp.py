"""QMP to all guests: one asyncio thread, one Monitor per guest. Callers are ordinary threads."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import structlog
from qemu.qmp import ExecuteError, QMPClient, Runstate

from skerry.host.errors import HostError

log = structlog.get_logger()

T = TypeVar("T")
Event = Mapping[str, Any]

COMMAND_SECONDS = 10.0


class Loop:
    """The thread that carries every QMP connection."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="skerry-qmp", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Run `work` there and wait for it. Raises HostError after `seconds`."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except FutureTimeout:
            future.cancel()
            raise HostError(f"QEMU did not answer within {seconds:g} s") from None

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` there without waiting."""
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End the thread; open connections just close."""
        self.call(_cancel_all(), COMMAND_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Monitor:
    """One guest's QMP connection. `on_event` and `on_close` are called from the loop's thread and must not block."""

    def __init__(self, loop: Loop, on_event: Callable[[Event], None], on_close: Callable[[], None]) -> None:
        self._loop = loop
        self._on_event = on_event
        self._on_close = on_close
        self._client: QMPClient | None = None
        self._task: asyncio.Task[None] | None = None

    def connect(self, path: Path, seconds: float = COMMAND_SECONDS) -> None:
        """Connect to the monitor at `path`. Raises HostError."""
        self._loop.call(self._connect(path), seconds)

    def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> object:
        """Run a command and return its answer. Raises HostError with QEMU's words."""
        return self._loop.call(self._execute(command, arguments), COMMAND_SECONDS)

    def give(self, name: str, descriptor: int) -> None:
        """Pass an open file on; later commands know it as `fd:name`. Raises HostError."""
        self._loop.call(self._give(name, descriptor), COMMAND_SECONDS)

    def add(self, descriptor: int) -> int:
        """Pass an open file on; QEMU opens it as `/dev/fdset/N`, of which N is returned. Raises HostError."""
        return self._loop.call(self._add(descriptor), COMMAND_SECONDS)

    def status(self) -> str:
        """QEMU's RunState: running, paused, shutdown, guest-panicked, internal-error, io-error, …"""
        answer = self.execute("query-status")
        return str(answer["status"]) if isinstance(answer, dict) else ""

    def close(self) -> None:
        """Disconnect; the guest goes on. No event comes afterwards."""
        self._on_close = lambda: None
        self._loop.call(self._disconnect(), COMMAND_SECONDS)

    async def _connect(self, path: Path) -> None:
        client = QMPClient(path.parent.name)
        client.logger.setLevel("CRITICAL")
        try:
            connection = connected(path)
            try:
                await client.connect(connection)
            except asyncio.CancelledError:
                connection.close()
                raise
        except Exception as error:  # the library asserts, too, when QEMU goes in the middle of the greeting
            with suppress(Exception):
                await client.disconnect()
            raise HostError(f"no QMP at {path}: {error or type(error).__name__}") from error
        self._client, self._leaving = client, asyncio.Event()
        self._task = asyncio.create_task(self._attend(client, self._leaving))

    async def _attend(self, client: QMPClient, leaving: asyncio.Event) -> None:
        """Pass events on until either side ends the connection. Only here is disconnect() called: once."""
        reader = asyncio.create_task(self._events(client))
        waits = [asyncio.create_task(_until_lost(client)), asyncio.create_task(leaving.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        with suppress(Exception):  # what ended the connection comes up here: anything that a hostile QEMU can cause
            await client.disconnect()
        # Events that came just before the end are still to be handed on.
        await asyncio.sleep(0)
        for task in (reader, *waits):
            task.cancel()
        self._client = None
        self._on_close()

    async def _events(self, client: QMPClient) -> None:
        async for event in client.events:
            try:
                self._on_event(event)
            except Exception:
                log.exception("a guest event could not be handled", event=event.get("event"))

    async def _execute(self, command: str, arguments: Mapping[str, object] | None) -> object:
        if self._client is None:
            raise HostError(f"QEMU is not connected, so it can't {command}")
        try:
            return await self._client.execute(command, dict(arguments) if arguments else None)
        except ExecuteError as error:
            raise HostError(f"QEMU refused {command}: {error}") from error
        except Exception as error:
            raise HostError(f"QEMU went away during {command}: {error or type(error).__name__}") from error

    async def _give(self, name: str, descriptor: int) -> None:
        if self._client is not None:
            self._client.send_fd_scm(descriptor)
        await self._execute("getfd", {"fdname": name})

    async def _add(self, descriptor: int) -> int:
        if self._client is not None:
            self._client.send_fd_scm(descriptor)
        answer = await self._execute("add-fd", None)
        return int(answer["fdset-id"]) if isinstance(answer, dict) else -1

    async def _disconnect(self) -> None:
        if self._task is not None:
            self._leaving.set()
            await self._task


async def _until_lost(client: QMPClient) -> None:
    while client.runstate == Runstate.RUNNING:
        await client.runstate_changed()


def connected(path: Path) -> socket.socket:
    """A connection to a unix socket. By way of its folder's descriptor: a socket's own path may have 107 bytes only."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A QEMU that takes no more connections must not make the thread of all wait: EAGAIN then.
        connection.setblocking(False)
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection


def listening(path: Path) -> socket.socket:
    """A new listening unix socket, mode 0600, in place of any older one."""
    path.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        path.chmod(0o600)
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
