"""Waiting for a guest's SSH server behind an address that answers before the guest does."""

import socket
import threading

import pytest

from skerry.cli import reach
from skerry.cli.machines import Machine
from skerry.cli.progress import Progress


def _serve(listener: socket.socket, greetings: list[bytes]) -> None:
    for greeting in greetings:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(greeting)


def test_it_waits_until_the_server_greets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "_PAUSE_SECONDS", 0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(reach, "_PORT", listener.getsockname()[1])
        server = threading.Thread(target=_serve, args=(listener, [b"", b"", b"SSH-2.0-x\r\n"]))
        server.start()
        reach.await_ssh(Machine({"publicIps": "127.0.0.1,127.0.0.2"}), Progress("test"))
        server.join()


def test_it_does_not_wait_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        monkeypatch.setattr(reach, "_PORT", unheard.getsockname()[1])
        reach.await_ssh(Machine({"publicIps": "127.0.0.1"}), Progress("test"))
        reach.await_ssh(Machine({"publicIps": ""}), Progress("test"))
