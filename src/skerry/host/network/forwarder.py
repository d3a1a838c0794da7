"""Public addresses on one machine: loopback addresses that this process listens on, one listener per open TCP port.

A connection is taken outside and dialled again from inside the VNet's namespace, so no route, address or rule of the
host changes and nothing in a namespace is reachable but what is forwarded. The rules are asked when a listener is made
and again for each connection; changing them adds and removes listeners and leaves connections alone; they end
with the guest's port. UDP is not forwarded.
"""

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import ipaddress
import socket
import struct
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from skerry.host.network import exposure, netns
from skerry.host.network.exposure import Public
from skerry.host.network.loop import LoopThread
from skerry.host.network.rules import FORWARDER_MARK

log = structlog.get_logger()

DIAL_SECONDS, DIAL_AGAIN_SECONDS = 8, 0.2
CONNECT_SECONDS, GREETING_SECONDS = 3, 20
CHUNK = 256 * 1024
MAX_CONNECTIONS = 4096
"""At a time, over all addresses: what comes above is closed at once."""
SIOCETHTOOL = 0x8946
ETHTOOL_GLINK = 0x0A
SO_MARK = 36
SSH, SSH_ASIDE = 22, 20022
"""Most hosts' own SSH server listens on every address, and Linux then gives port 22 of none away."""


@dataclass(frozen=True)
class Target:
    """Where a public address leads."""

    public: Public
    namespace: Path
    tap: str


Key = tuple[str, int]
"""A public address and TCP port."""
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Forwarder:
    """All public addresses of this host, in the network of `outside`."""

    def __init__(self, loop: LoopThread, outside: Path) -> None:
        self._loop, self._outside = loop, outside
        self._targets: dict[str, Target] = {}
        self._servers: dict[Key, asyncio.Server] = {}
        self._dialers = ThreadPoolExecutor(8, thread_name_prefix="dial")
        self._live: dict[asyncio.Task[None], str] = {}
        self._left_out: dict[str, int] = {}

    def apply(self, targets: Sequence[Target]) -> list[tuple[str, str]]:
        """Make `targets` what is forwarded. Returns problems as (public address, message); the rest works."""
        by_address = {target.public.public: target for target in targets}
        wanted = {(address, port) for address, target in by_address.items() for port in self._ports(target.public)}
        present = self._servers.keys()
        sockets, problems = netns.inside(self._outside, lambda: _listen_all(sorted(wanted - present)))
        moved = netns.inside(self._outside, lambda: _listen_again(sorted(wanted & self._aside())))
        self._loop.call(self._switch(by_address, (present - wanted) | moved.keys(), sockets | moved))
        return problems

    def _aside(self) -> set[Key]:
        """What is served at another port than its own."""
        return {key for key, server in self._servers.items() if server.sockets[0].getsockname()[1] != key[1]}

    def close(self) -> None:
        self.apply([])
        self._dialers.shutdown()

    def _ports(self, public: Public) -> list[int]:
        chosen, left_out = exposure.listeners(exposure.open_ports(public))
        if left_out and self._left_out.get(public.public) != left_out:
            log.warning("not every open port is forwarded", address=public.public, ports_left_out=left_out)
        self._left_out[public.public] = left_out
        return chosen

    async def _switch(self, targets: dict[str, Target], closing: set[Key], sockets: dict[Key, socket.socket]) -> None:
        self._targets = targets
        for key in closing:
            self._servers.pop(key).close()
        known = {target.public.port for target in targets.values()}
        for task in [task for task, port in self._live.items() if port not in known]:
            task.cancel()
        for key, sock in sockets.items():
            self._servers[key] = await self._serve(key, sock)

    async def _serve(self, key: Key, sock: socket.socket) -> asyncio.Server:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._forward(key, (reader, writer))

        return await asyncio.start_server(connected, sock=sock, limit=CHUNK)

    async def _forward(self, key: Key, client: Stream) -> None:
        """Serve one connection, held in `_live`: a task that waits for a silent peer would be garbage otherwise."""
        task, target = asyncio.current_task(), self._targets.get(key[0])
        if task is None or target is None:
            _reset(client[1])
            return
        self._live[task] = target.public.port
        try:
            await self._connect(client, key)
        finally:
            client[1].close()
            del self._live[task]

    async def _connect(self, client: Stream, key: Key) -> None:
        guest = await self._dial(key, client[1])
        if guest is None:
            _reset(client[1])
            return
        _keep_alive(client[1].get_extra_info("socket"))
        await _exchange(client, guest)

    async def _dial(self, key: Key, client: asyncio.StreamWriter) -> Stream | None:
        """A connection to the guest, or None: not allowed (any more), no such guest, or nobody answers."""
        target = self._targets.get(key[0])
        address, port = client.get_extra_info("peername")[:2]
        if target is None or len(self._live) > MAX_CONNECTIONS or not target.public.admits(address, port, key[1]):
            return None
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                return await self._reach(target, key[1])
        except (OSError, TimeoutError) as error:
            log.info("guest can't be reached", address=key[0], port=key[1], reason=str(error) or "no answer")
            return None

    async def _reach(self, target: Target, port: int) -> Stream:
        """Try again and again: the kernel would ask a guest that comes up just now again after a second."""
        began = time.monotonic()
        while True:
            patience = max(DIAL_AGAIN_SECONDS, (time.monotonic() - began) / 2)
            with suppress(TimeoutError):
                return await self._try(target, port, patience)

    async def _try(self, target: Target, port: int, seconds: float) -> Stream:
        loop = asyncio.get_running_loop()
        sock = await loop.run_in_executor(self._dialers, socket_towards, target.namespace, target.tap)
        try:
            async with asyncio.timeout(seconds):
                await loop.sock_connect(sock, (target.public.private, port))
            return await asyncio.open_connection(sock=sock, limit=CHUNK)
        except BaseException:
            sock.close()
            raise


def _listen_all(keys: Sequence[Key]) -> tuple[dict[Key, socket.socket], list[tuple[str, str]]]:
    """Listening sockets, and what couldn't be listened on. Runs in the outside network."""
    sockets: dict[Key, socket.socket] = {}
    problems: list[tuple[str, str]] = []
    for key in keys:
        try:
            sockets[key] = _listen_or_aside(key)
        except (OSError, ValueError) as error:
            problems.append((key[0], _problem(key, error)))
    return sockets, problems


def _listen_or_aside(key: Key) -> socket.socket:
    """The port's socket; where a server of the host has all of SSH's port, one at SSH_ASIDE of the same address."""
    try:
        return _listen(key)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or key[1] != SSH:
            raise
        log.warning("SSH is forwarded elsewhere", reason=_problem(key, error), instead=f"{key[0]}:{SSH_ASIDE}")
        return _listen((key[0], SSH_ASIDE))


def _listen_again(keys: Sequence[Key]) -> dict[Key, socket.socket]:
    """Sockets at the ports that have become free since."""
    found: dict[Key, socket.socket] = {}
    for key in keys:
        with suppress(OSError):
            found[key] = _listen(key)
    return found


def _listen(key: Key) -> socket.socket:
    if not ipaddress.IPv4Address(key[0]).is_loopback:
        raise ValueError("a public address must be in 127.0.0.0/8")
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(key)
        sock.listen(128)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _problem(key: Key, error: Exception) -> str:
    where = f"public address {key[0]}, TCP port {key[1]}"
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return (
            f"{where} is not forwarded: a program on this host listens on that port of this or of every address "
            f"(`ss -ltnp 'sport = {key[1]}'` shows it); let it listen on its own addresses only. It is tried again"
        )
    return f"{where} is not forwarded: {error}"


def greets(namespace: Path, link: str, address: str, port: int) -> bool:
    """Whether the guest behind TAP `link` says something on a TCP port. Raises OSError if it can't be asked."""
    with socket_towards(namespace, link) as sock:
        sock.settimeout(CONNECT_SECONDS)
        sock.connect((address, port))
        # Somebody listens. A guest that still boots takes its time, and giving up only makes it begin again.
        sock.settimeout(GREETING_SECONDS)
        return bool(sock.recv(1))


def socket_towards(namespace: Path, link: str) -> socket.socket:
    """A socket inside the guest's VNet. Raises OSError at once when no QEMU holds the guest's TAP."""
    sock = netns.inside(namespace, socket.socket)
    try:
        if not _has_carrier(sock, link):
            raise OSError(errno.EHOSTDOWN, "the VM doesn't run")
        sock.setsockopt(socket.SOL_SOCKET, SO_MARK, FORWARDER_MARK)
        sock.setblocking(False)
        _keep_alive(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _has_carrier(sock: socket.socket, link: str) -> bool:
    """Whether somebody holds the TAP now; the interface's flags would tell it up to a second late."""
    value = (ctypes.c_uint32 * 2)(ETHTOOL_GLINK, 0)
    fcntl.ioctl(sock, SIOCETHTOOL, struct.pack("16sP16x", link.encode(), ctypes.addressof(value)))
    return bool(value[1])


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the client sees a refusal (RST), not an end of data."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _keep_alive(sock: socket.socket) -> None:
    """A silent connection stays as long as both ends live; a dead end is noticed after some minutes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 300)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 30)


async def _exchange(client: Stream, guest: Stream) -> None:
    """Copy both ways until both have ended; an error of one way, or a cancellation, cuts both."""
    writers, complete = (client[1], guest[1]), False
    try:
        async with asyncio.TaskGroup() as copies:
            copies.create_task(_copy(client[0], guest[1]))
            copies.create_task(_copy(guest[0], client[1]))
        complete = True
    except* OSError:
        pass
    finally:
        for writer in writers:
            if complete:
                writer.close()
            else:
                writer.transport.abort()
        for writer in writers:
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end, then hand the half-close on."""
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
