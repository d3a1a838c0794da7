"""Whether somebody else changed a namespace of ours: the kernel tells of links, addresses, routes and packet rules.

Two multicast netlink sockets per namespace are read without waiting: looking costs microseconds, so it is done every
second. Multicast groups and message types are those of linux/rtnetlink.h and linux/netfilter/nfnetlink.h.
"""

import errno
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from skerry.host.network import netns

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
_LINKS, _ADDRESSES, _ROUTES = 0x1, 0x10, 0x40
_RULES = 1 << 6  # NFNLGRP_NFTABLES, the seventh group
_NEW_LINK, _IFF_UP = 16, 1
_HEADER = struct.Struct("=IHHII")
_FLAGS = struct.Struct("=8xI")


class Drift:
    """One namespace. Made before what is to be watched is set up; `settle` takes its present state for right."""

    def __init__(self, namespace: Path) -> None:
        self._namespace = namespace
        self._inode = namespace.stat().st_ino
        self._sockets = netns.inside(namespace, _listen)

    def changed(self) -> bool:
        """Whether anything was changed since the last look, or the name leads to another namespace or to none."""
        messages = [message for sock in self._sockets for message in _messages(sock)]
        return any(map(_matters, messages)) or not self.same()

    def same(self) -> bool:
        """Whether the name still leads to the namespace that is watched."""
        try:
            return self._namespace.stat().st_ino == self._inode
        except OSError:
            return False

    def settle(self) -> None:
        """Forget what was heard so far: it was our own work."""
        for sock in self._sockets:
            for _ in _messages(sock):
                pass

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


def _listen() -> list[socket.socket]:
    found = []
    for protocol, groups in ((NETLINK_ROUTE, _LINKS | _ADDRESSES | _ROUTES), (NETLINK_NETFILTER, _RULES)):
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        found.append(sock)
        sock.bind((0, groups))
        sock.setblocking(False)
    return found


def _messages(sock: socket.socket) -> Iterator[bytes]:
    """What waits to be read; b"" stands for what the kernel had to drop."""
    while True:
        try:
            data = sock.recv(1 << 17)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            yield b""
            continue
        while len(data) >= _HEADER.size:
            length = max(_HEADER.unpack_from(data)[0], _HEADER.size)
            yield data[:length]
            data = data[(length + 3) & ~3 :]


def _matters(message: bytes) -> bool:
    """A link that only gains or loses its carrier doesn't: that is a QEMU which starts or ends."""
    if len(message) < _HEADER.size + _FLAGS.size or _HEADER.unpack_from(message)[1] != _NEW_LINK:
        return True
    return not _FLAGS.unpack_from(message, _HEADER.size)[0] & _IFF_UP
