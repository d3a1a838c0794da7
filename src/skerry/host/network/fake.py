"""A network that only remembers: what the API's tests run on."""

import os
from collections.abc import Sequence
from pathlib import Path

from skerry.host.errors import HostError
from skerry.host.network.driver import GuestPlatform
from skerry.hostspec import VnetSpec


class FakeNetwork:
    """A NetworkDriver without a network. `applied` holds what each `apply` was given, oldest first.

    `fail_next`: the next `apply` or `tap` raises it as a HostError, once. `platform` lets a test play a guest.
    `kept`: what `close` was told; None while open.
    """

    guests_netns = "/proc/self/ns/net"

    def __init__(self, state: Path, platform: GuestPlatform) -> None:
        self.state, self.platform = state, platform
        self.applied: list[tuple[VnetSpec, ...]] = []
        self.fail_next: str | None = None
        self.kept: bool | None = None

    def apply(self, vnets: Sequence[VnetSpec]) -> None:
        self.applied.append(tuple(vnets))
        self._fail()

    def problems(self) -> Sequence[tuple[str, str, str]]:
        """Nothing goes wrong by itself here."""
        return ()

    def tap(self, port: str) -> int:
        """An eventfd: a real descriptor that a process can inherit and that the caller closes."""
        self._fail()
        if port not in self._ports():
            raise HostError(f"port {port} is in no network of this host")
        return os.eventfd(0)

    def greets(self, port: str, tcp_port: int) -> bool:
        """Imagined guests run an SSH server and nothing else."""
        return tcp_port == 22 and port in self._ports()

    def close(self, *, keep: bool) -> None:
        self.kept = keep

    def _ports(self) -> set[str]:
        return {port.id for vnet in (self.applied[-1] if self.applied else ()) for port in vnet.ports}

    def _fail(self) -> None:
        if self.fail_next is not None:
            message, self.fail_next = self.fail_next, None
            raise HostError(message)
