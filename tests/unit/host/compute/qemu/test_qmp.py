"""Connections to a guest's sockets: whoever doesn't answer keeps no other guest waiting."""

import socket
from pathlib import Path

import pytest

from skerry.host.compute.qemu.qmp import connected, listening


def test_one_that_accepts_nobody_is_given_up_at_once(tmp_path: Path) -> None:
    path = tmp_path / "qmp.sock"
    waiting: list[socket.socket] = []
    with listening(path):
        with pytest.raises(BlockingIOError):
            while len(waiting) < 99:
                waiting.append(connected(path))
        for connection in waiting:
            connection.close()
    assert 0 < len(waiting) < 99
