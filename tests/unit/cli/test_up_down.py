"""`skerry up`, `status` and `down` as processes, around a server that stands in for the real one."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skerry.cli.state import process_started, running

ROOT = Path(__file__).parents[3]
INJECT = "import sys, tests.unit.cli.fake_server as fake\nsys.modules['skerry.server'] = fake\n"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    folder.mkdir()
    yield folder
    if found := running(folder):
        os.kill(found.pid, signal.SIGKILL)


@pytest.fixture
def run(tmp_path: Path, state: Path) -> Run:
    """Run the command line in a process whose skerry.server is the fake."""
    (tmp_path / "sitecustomize.py").write_text(INJECT)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", "SKERRY_STATE": str(state)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "skerry", *words]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_up_returns_once_it_serves_and_down_once_it_is_gone(run: Run, state: Path, port: str) -> None:
    (state / "behave").write_text("slow")
    up = run("up", "--detach", "--port", port, "--accel", "tcg", "--simulate", "3", "--warm", "off")
    assert up.returncode == 0, up.stderr
    assert f"https://localhost:{port}" in up.stdout
    assert "accelerator tcg, simulated 3, warm False" in (state / "logs" / "skerry.log").read_text()

    shown = run("status", "-o", "json")
    assert (shown.returncode, json.loads(shown.stdout)["answers"]) == (0, True)
    again = run("up", "--detach", "--port", "1")
    assert (again.returncode, "runs already" in again.stdout) == (0, True)

    pid = json.loads(shown.stdout)["pid"]
    down = run("down")
    assert down.returncode == 0, down.stderr
    assert process_started(pid) is None
    assert json.loads((state / "stopped").read_text()) == {"keep_vms": False}
    assert run("status").returncode == 1


def test_the_databases_password_is_in_no_argument_list(run: Run, state: Path, port: str) -> None:
    url = "postgresql://me:Plant3d@db/skerry"
    assert run("up", "--detach", "--port", port, "--database", url).returncode == 0
    assert (state / "asked-database").read_text() == url
    found = running(state)
    assert found is not None
    assert b"Plant3d" not in Path(f"/proc/{found.pid}/cmdline").read_bytes()


def test_down_can_keep_the_guests(run: Run, state: Path, port: str) -> None:
    assert run("up", "--detach", "--port", port).returncode == 0
    assert "Guests run on" in run("down", "--keep-vms").stdout
    assert json.loads((state / "stopped").read_text()) == {"keep_vms": True}


def test_what_the_server_refuses_for_is_what_up_says(run: Run, state: Path, port: str) -> None:
    (state / "behave").write_text("refuse")
    for words in (["up", "--detach", "--port", port], ["up", "--port", port]):
        up = run(*words)
        assert (up.returncode, up.stderr.splitlines()[-1]) == (1, f"skerry: Port {port} is in use.")
        assert "Traceback" not in up.stderr


def test_a_crash_shows_the_end_of_the_log(run: Run, state: Path, port: str) -> None:
    (state / "behave").write_text("crash")
    up = run("up", "--detach", "--port", port)
    assert up.returncode == 1
    assert "ended while it started" in up.stderr
    assert "KeyError: 'a bug'" in up.stderr


def test_a_state_folder_that_cannot_be_written_is_refused(run: Run, state: Path, port: str) -> None:
    (state / "logs").write_text("a file where a folder belongs")
    up = run("up", "--detach", "--port", port)
    assert (up.returncode, "can't be written" in up.stderr) == (1, True)


def test_after_a_crash_down_cleans_up(run: Run, state: Path, port: str) -> None:
    assert run("up", "--detach", "--port", port).returncode == 0
    found = running(state)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    while running(state):
        pass
    assert run("down", "--keep-vms").returncode == 0
    assert not (state / "cleaned").exists()
    down = run("down")
    assert (down.returncode, "isn't running" in down.stdout) == (0, True)
    assert (state / "cleaned").exists()


def test_a_server_that_dies_while_it_stops_is_cleaned_up_after(run: Run, state: Path, port: str) -> None:
    (state / "behave").write_text("die")
    assert run("up", "--detach", "--port", port).returncode == 0
    assert "ended before it was done" in run("down").stdout
    assert (state / "cleaned").exists()
    assert not (state / "skerry.pid").exists()


def test_down_where_nothing_ever_was(run: Run, tmp_path: Path) -> None:
    down = run("down", "--state", str(tmp_path / "nothing"))
    assert (down.returncode, "isn't running" in down.stdout) == (0, True)
    assert not (tmp_path / "nothing").exists()
