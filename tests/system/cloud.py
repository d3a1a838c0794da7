"""A running Skerry and the real clients, as system tests use them."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SKERRY = Path(sys.executable).with_name("skerry")
AZ = Path(os.environ.get("SKERRY_AZ") or ROOT / ".venv-az" / "bin" / "az")
SDK = Path(os.environ.get("SKERRY_SDK_PYTHON") or ROOT / ".venv-sdk" / "bin" / "python")
SSH_OPTIONS = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]


class Failed(AssertionError):
    """A command that should have worked didn't; says what it printed."""


@dataclass
class Cloud:
    """A running Skerry: its state folder and port, and the environment that `skerry env` prints."""

    state: Path
    port: int
    key: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *argv: str | Path, check: bool = True, timeout: float = 900) -> str:
        """Run a command in the cloud's environment; its standard output."""
        words = [str(word) for word in argv]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode:
            raise Failed(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def az(self, line: str, *more: str | Path) -> Any:
        """`az LINE MORE…`; its JSON, or None when it prints none."""
        output = self.run(AZ, *line.split(), *more)
        return json.loads(output) if output.strip() else None

    def az_fails(self, line: str, *more: str | Path) -> str:
        """What `az LINE` says when it fails, as it must."""
        words = [str(AZ), *line.split(), *map(str, more)]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode, f"{words} should have failed:\n{done.stdout}"
        assert "Traceback" not in done.stderr, done.stderr
        return done.stderr

    def skerry(self, *words: str | Path, check: bool = True) -> str:
        """`skerry WORDS…`; what it prints."""
        return self.run(SKERRY, *words, check=check)

    def up(self, *options: str) -> None:
        """Start it in the background. Without templates: making them takes CPU time that the tests' guests need."""
        self.skerry("up", "--detach", "--port", str(self.port), "--accel", "tcg", *(options or ("--warm", "off")))

    def ssh(self, target: str, command: str, *options: str) -> str:
        """Plain ssh with the test's key."""
        return self.run("ssh", "-i", self.key, *SSH_OPTIONS, *options, target, command)

    def pid(self) -> int:
        """The server's process."""
        return int(json.loads((self.state / "skerry.pid").read_text())["pid"])


@contextmanager
def cloud_of_its_own(*options: str, **environment: str) -> Iterator[Cloud]:
    """A Skerry that was started with `options`, has the Debian 12 image and a key; nothing is left of it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="skerry-test-"))
    found = Cloud(folder / "state", free_port(), folder / "id_ed25519")
    found.environment = {**os.environ, "SKERRY_STATE": str(found.state), **environment}
    found.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", found.key)
    try:
        found.skerry("image", "build", "debian-12")
        found.up(*options)
        yield found
    finally:
        found.skerry("down", check=False)
        shutil.rmtree(folder)


def free_port() -> int:
    """A TCP port that nobody has now, and below those that the kernel gives to whoever asks for any (32768 and up).

    So it is still free when a Skerry that was killed comes back to it, whatever else ran meanwhile.
    """
    while True:
        port = 10000 + secrets.randbelow(20000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for what happens by itself."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.3)
