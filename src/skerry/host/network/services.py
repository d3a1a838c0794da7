"""Metadata and wire server of every guest: listening sockets inside its VNet, bound to its TAP, served in our loop.

A guest is known by the socket that its request came in by, never by what the request says; so identical addresses in
two VNets are told apart.
"""

import asyncio
import socket
import time
from collections.abc import Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from skerry.host.network import http, imds, netns, wireserver
from skerry.host.network.driver import GuestPlatform
from skerry.host.network.loop import LoopThread

ENDPOINTS = (("169.254.169.254", 80), ("168.63.129.16", 80), ("168.63.129.16", wireserver.PLUGIN_PORT))
MAX_CONNECTIONS = 32
"""At a time, per port; what comes above is closed at once."""
CROWDED, FEW = 512, 4
"""From so many connections of all guests on, a port may have only a few: memory is bounded, and none is shut out."""
BURST, PER_SECOND = 200, 20.0
"""Requests a port may send at once, and on average; above that it gets 429, as on Azure."""
REPORTS, REPORTS_PER_SECOND = 10, 0.1
"""Health reports, likewise: each one that says something new is written to disk and told to the control plane."""


@dataclass
class Allowance:
    """A token bucket: a guest may not keep us busy."""

    most: float = BURST
    per_second: float = PER_SECOND
    left: float = field(init=False)
    since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.left = self.most

    def take(self, now: float) -> bool:
        self.left = min(self.most, self.left + (now - self.since) * self.per_second)
        self.since = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass
class _Guest:
    """A port that is served: its TAP's interface index, the servers, and what it uses of its share."""

    index: int
    servers: list[asyncio.Server] = field(default_factory=list)
    allowance: Allowance = field(default_factory=Allowance)
    reports: Allowance = field(default_factory=lambda: Allowance(REPORTS, REPORTS_PER_SECOND))
    connections: int = 0


class PlatformServices:
    """Serves all guests of this host."""

    def __init__(self, loop: LoopThread, platform: GuestPlatform) -> None:
        self._loop, self._platform = loop, platform
        self._workers = ThreadPoolExecutor(4, thread_name_prefix="platform")
        self._guests: dict[str, _Guest] = {}
        self._connections = 0

    def apply(self, namespace: Path, taps: Mapping[str, tuple[str, int]]) -> None:
        """Serve the ports in `taps` (port id → TAP name, interface index) that aren't served yet."""
        fresh = {port: tap for port, tap in taps.items() if not self._served(port, tap[1])}
        if fresh:
            sockets = netns.inside(namespace, lambda: {port: _listen(tap[0]) for port, tap in fresh.items()})
            self._loop.call(self._start(sockets, fresh))

    def keep(self, ports: set[str]) -> None:
        """Stop serving every port that isn't in `ports`."""
        self.drop(self._guests.keys() - ports)

    def drop(self, ports: Set[str]) -> None:
        """Stop serving these."""
        if gone := self._guests.keys() & ports:
            self._loop.call(self._stop(gone))

    def close(self) -> None:
        self.keep(set())
        self._workers.shutdown()

    def _served(self, port: str, index: int) -> bool:
        guest = self._guests.get(port)
        return guest is not None and guest.index == index

    async def _start(self, sockets: Mapping[str, list[socket.socket]], taps: Mapping[str, tuple[str, int]]) -> None:
        await self._stop(sockets.keys() & self._guests.keys())
        for port, listening in sockets.items():
            guest = self._guests[port] = _Guest(taps[port][1])
            for sock in listening:
                guest.servers.append(await self._server(port, guest, sock))

    async def _stop(self, ports: set[str]) -> None:
        for port in ports:
            for server in self._guests.pop(port).servers:
                server.close()

    async def _server(self, port: str, guest: _Guest, sock: socket.socket) -> asyncio.Server:
        handler = self._handler(port, sock.getsockname()[:2])

        def limited(request: http.Request) -> http.Response:
            now = time.monotonic()
            allowed = guest.allowance.take(now) and (not wireserver.is_report(request) or guest.reports.take(now))
            return handler(request) if allowed else http.Response(429)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if guest.connections >= (MAX_CONNECTIONS if self._connections < CROWDED else FEW):
                writer.transport.abort()
                return
            guest.connections += 1
            self._connections += 1
            try:
                with self._loop.held():
                    await http.serve(reader, writer, limited, self._workers)
            finally:
                guest.connections -= 1
                self._connections -= 1

        return await asyncio.start_server(connected, sock=sock, limit=http.MAX_HEAD)

    def _handler(self, port: str, endpoint: tuple[str, int]) -> http.Handler:
        platform = self._platform

        def metadata(request: http.Request) -> http.Response:
            return imds.answer(request, lambda: platform.metadata(port))

        def wire(request: http.Request) -> http.Response:
            return wireserver.answer(
                request,
                platform.vm(port),
                lambda health: platform.report_health(port, health.state, health.description),
            )

        return dict(zip(ENDPOINTS, (metadata, wire, wireserver.plugin_answer), strict=True))[endpoint]


def _listen(tap: str) -> list[socket.socket]:
    """Runs inside the VNet's namespace."""
    return [_listen_at(tap, endpoint) for endpoint in ENDPOINTS]


def _listen_at(tap: str, endpoint: tuple[str, int]) -> socket.socket:
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, tap.encode())
        sock.bind(endpoint)
        sock.listen(MAX_CONNECTIONS)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
