"""Starting: every refusal says why and what to do, and leaves nothing behind."""

import fcntl
import os
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from skerry.arm.errors import ArmError
from skerry.authentication import authenticator
from skerry.identity import Identity
from skerry.options import Options
from skerry.server import StartError, serve


def never() -> None:
    """Stands for `on_ready` of a start that must fail."""
    raise AssertionError("it started")


@pytest.fixture
def port() -> Iterator[int]:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    yield number


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """`serve` narrows the umask of its process: give it back."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def test_a_port_in_use_is_refused(tmp_path: Path, port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(StartError, match=f"Port {port} of 127.0.0.1 can't be used"):
            serve(tmp_path / "state", Options(port, simulate=1), never)


def test_a_state_folder_in_use_is_refused(tmp_path: Path, port: int) -> None:
    (tmp_path / "lock").touch()
    with (tmp_path / "lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StartError, match="in use by another Skerry"):
            serve(tmp_path, Options(port, simulate=1), never)


def test_a_state_of_a_newer_skerry_is_refused_untouched(tmp_path: Path, port: int) -> None:
    with sqlite3.connect(tmp_path / "skerry.db") as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('9999')")
    database.close()
    before = (tmp_path / "skerry.db").read_bytes()
    with pytest.raises(StartError, match="newer Skerry"):
        serve(tmp_path, Options(port, simulate=1), never)
    assert (tmp_path / "skerry.db").read_bytes() == before


def test_a_state_folder_that_is_a_file_is_refused(tmp_path: Path, port: int) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StartError, match="can't be used"):
        serve(tmp_path / "state", Options(port, simulate=1), never)


def test_without_root_a_real_host_is_refused(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StartError, match="needs root"):
        serve(tmp_path / "state", Options(port), never)
    assert not (tmp_path / "state").exists()


def test_a_damaged_key_is_refused_with_its_name(tmp_path: Path, port: int) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "secrets.key").write_bytes(b"short")
    with pytest.raises(StartError, match=r"secrets\.key is damaged"):
        serve(tmp_path, Options(port, simulate=1), never)


@contextmanager
def served(state: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A Skerry in a process of its own, which takes the signals."""
    code = "from pathlib import Path; from skerry.options import Options; from skerry.server import serve; "
    code += f"serve(Path({str(state)!r}), Options({port}, simulate=1), lambda: print('ready', flush=True))"
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == "ready\n"
        yield server
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_what_it_writes_is_for_its_owner_only(tmp_path: Path, port: int) -> None:
    state = tmp_path / "state"
    with served(state, port) as server:
        for path in state.rglob("*"):
            if path.is_file() and path.parent.name != "tls":
                assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
        server.terminate()
        assert server.wait(60) == 0


def front_of(server: subprocess.Popen[str]) -> int:
    """The process that clients speak to."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == server.pid:
                return int(folder.name)
    raise AssertionError("there is no front")


def health(state: Path, port: int) -> int:
    """The status of /healthz; waits for it."""
    context = ssl.create_default_context(cafile=state / "tls" / "ca.pem")
    with urlopen(f"https://localhost:{port}/healthz", timeout=60, context=context) as answer:
        return int(answer.status)


def test_a_front_that_is_killed_is_replaced_and_clients_wait_for_it(tmp_path: Path, port: int) -> None:
    with served(tmp_path, port) as server:
        before = front_of(server)
        os.kill(before, signal.SIGKILL)
        assert health(tmp_path, port) == 200
        assert front_of(server) != before
        server.terminate()
        assert server.wait(60) == 0


def test_a_killed_skerry_leaves_the_port_to_the_next(tmp_path: Path, port: int) -> None:
    with served(tmp_path, port) as server:
        server.kill()
        with served(tmp_path, port):
            assert health(tmp_path, port) == 200


@pytest.mark.parametrize("header", [None, "Bearer x", "Basic eDp5"])
def test_a_bad_token_gets_arms_401_with_a_challenge(tmp_path: Path, header: str | None) -> None:
    identity = Identity.load(tmp_path, "https://localhost:1")
    with pytest.raises(ArmError) as caught:
        authenticator(identity)(header)
    assert caught.value.status == 401
    assert "https://localhost:1/adfs" in caught.value.headers["WWW-Authenticate"]
