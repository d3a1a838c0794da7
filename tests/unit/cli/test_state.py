"""Where the state is, and whose process a pid file names."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import pytest

from skerry.cli import state
from skerry.cli.errors import CliError


def test_the_folder_is_the_given_one_or_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert state.state_folder(Path("here")) == tmp_path / "here"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state.state_folder(None) == Path("/var/lib/skerry")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert state.state_folder(None) == Path("/xdg/skerry")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert state.state_folder(None) == Path("/home/me/.local/state/skerry")


def test_a_pid_that_another_process_has_now_is_not_ours(tmp_path: Path) -> None:
    state.write_running(tmp_path, 1, "https://localhost:1")
    found = state.running(tmp_path)
    assert found is not None
    assert found.pid == os.getpid()
    state.write_json(tmp_path / state.PID_FILE, {**dataclasses.asdict(found), "started": "earlier"})
    assert state.running(tmp_path) is None


def test_a_zombie_is_gone() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{child.pid}").exists()
        assert state.process_started(child.pid) is None


def test_a_strange_pid_file_means_not_running(tmp_path: Path) -> None:
    strange: tuple[object, ...] = ({}, {"pid": "x", "started": 1, "port": 1, "base_url": ""}, [])
    for content in strange:
        (tmp_path / state.PID_FILE).write_text(json.dumps(content))
        assert state.running(tmp_path) is None
    (tmp_path / state.PID_FILE).write_text("")
    assert state.running(tmp_path) is None


def test_credentials_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="skerry up"):
        state.credentials(tmp_path)
    (tmp_path / "keys").mkdir()
    for content in ("{}", "[]", "nonsense"):
        (tmp_path / "keys" / "account.json").write_text(content)
        with pytest.raises(CliError, match="damaged"):
            state.credentials(tmp_path)
