"""Whether a guest's SSH server answers: it starts seconds (emulated: half a minute) after the guest reports Ready."""

import socket
import time

from skerry.cli.machines import Machine
from skerry.cli.progress import Progress

SECONDS = 120
_PORT = 22
_PAUSE_SECONDS = 0.5
_GREETING_SECONDS = 10


def await_ssh(machine: Machine, progress: Progress) -> None:
    """Wait until the machine's public address answers as an SSH server does, for two minutes at most.

    Returns at once where nobody listens: no public address, or rules that let no SSH in.
    """
    addresses = str(machine.data["publicIps"])
    if not addresses:
        return
    end = time.monotonic() + SECONDS
    progress.phase("waiting for its SSH server")
    while time.monotonic() < end and not _settled(addresses.split(",", maxsplit=1)[0]):
        time.sleep(_PAUSE_SECONDS)
        progress.tick()


def _settled(address: str) -> bool:
    """Whether it is clear that an SSH server answers, or that none will."""
    try:
        # Long enough for an emulated server's greeting: RFC 4253 lets it speak first.
        with socket.create_connection((address, _PORT), timeout=_GREETING_SECONDS) as connection:
            return connection.recv(4) == b"SSH-"
    except ConnectionRefusedError:
        return True
    except OSError:
        return False  # the address answers, the guest doesn't yet
