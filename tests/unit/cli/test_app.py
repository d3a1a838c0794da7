"""The root command: light to start, and never a traceback."""

import subprocess
import sys
from importlib import import_module

import click
import pytest

from skerry.cli import app
from skerry.cli.app import COMMANDS, LazyGroup
from skerry.cli.errors import CliError
from skerry.cli.vm import vm

HEAVY = {
    "requests",
    "httpx",
    "urllib3",
    "rich",
    "cryptography",
    "jwt",
    "starlette",
    "uvicorn",
    "sqlalchemy",
    "structlog",
}


def test_the_api_client_imports_nothing_heavy() -> None:
    code = "import sys, skerry.cli.app, skerry.cli.vm, skerry.cli.vm_create, skerry.cli.ssh; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)
    assert [name for name in loaded if name.startswith("skerry.") and not name.startswith("skerry.cli")] == []


@pytest.mark.parametrize("group", [app.root(), vm], ids=["skerry", "vm"])
def test_every_command_is_there_and_says_what_it_does(group: click.Group) -> None:
    assert isinstance(group, LazyGroup)
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        assert command.help, name
    assert group.get_command(context, "nonsense") is None


def test_the_contract_has_its_commands() -> None:
    assert set(COMMANDS) == {"up", "down", "status", "doctor", "env", "backup", "restore", "image", "vm"}
    image = import_module("skerry.cli.image").image
    assert set(image.commands) == {"build", "list", "import", "alias", "remove", "warm"}


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CliError("It broke.\x1b[2J Mend it."), 1, "skerry: It broke.\ufffd[2J Mend it.\n"),
        (
            KeyError("x"),
            1,
            "skerry: unexpected KeyError: 'x'. This is a bug; SKERRY_DEBUG=1 shows where it happened.\n",
        ),
        (click.Abort(), 130, "skerry: stopped by Ctrl-C.\n"),
    ],
)
def test_errors_are_a_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int, message: str
) -> None:
    def fail() -> click.Group:
        raise error

    monkeypatch.setattr(app, "root", fail)
    with pytest.raises(SystemExit) as stopped:
        app.run()
    assert (stopped.value.code, capsys.readouterr().err) == (code, message)


@pytest.mark.parametrize(
    ("words", "code"), [(["--version"], 0), (["--help"], 0), (["nonsense"], 2), (["vm", "show"], 2), ([], 2)]
)
def test_exit_codes(monkeypatch: pytest.MonkeyPatch, words: list[str], code: int) -> None:
    monkeypatch.setattr(sys, "argv", ["skerry", *words])
    with pytest.raises(SystemExit) as stopped:
        app.run()
    assert stopped.value.code == code
