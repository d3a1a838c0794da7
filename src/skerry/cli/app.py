"""The root command. Commands are imported when they are called: starting up is most of what a short one costs."""

import os
import sys
from collections.abc import Mapping
from importlib import import_module

import click

from skerry import __version__
from skerry.cli.errors import CliError
from skerry.cli.output import printable

COMMANDS = {
    "up": "skerry.cli.up:up",
    "down": "skerry.cli.down:down",
    "status": "skerry.cli.status:status",
    "doctor": "skerry.cli.doctor:doctor",
    "env": "skerry.cli.env:env",
    "backup": "skerry.cli.backup:backup",
    "restore": "skerry.cli.backup:restore",
    "image": "skerry.cli.image:image",
    "vm": "skerry.cli.vm:vm",
}


class LazyGroup(click.Group):
    """A group whose commands are named as `module:attribute` and imported when they are asked for."""

    def __init__(self, name: str, commands: Mapping[str, str], help: str) -> None:
        super().__init__(name=name, help=help, no_args_is_help=True)
        self._targets = dict(commands)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands in the order in which they were given."""
        return list(self._targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command; None when there is none of this name."""
        target = self._targets.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


def root() -> click.Group:
    """The `skerry` group."""
    group = LazyGroup("skerry", COMMANDS, "Your own machines as a virtual-machine cloud that speaks Azure's API.")
    versioned: click.Group = click.version_option(__version__, prog_name="skerry")(group)
    return versioned


def run() -> None:
    """Run the command line and exit: 0, 1 for a failure, 2 for wrong usage, 130 for Ctrl-C."""
    sys.exit(_run())


def _run() -> int:
    try:
        return int(root().main(prog_name="skerry", standalone_mode=False) or 0)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        return _say("stopped by Ctrl-C.", 130)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except CliError as error:
        return _say(str(error), 1)
    except BrokenPipeError:
        # The reader has gone (`skerry … | head`); keep Python from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("SKERRY_DEBUG"):
            raise
        return _say(
            f"unexpected {type(error).__name__}: {error}. This is a bug; SKERRY_DEBUG=1 shows where it happened.", 1
        )


def _say(message: str, code: int) -> int:
    print(f"skerry: {printable(message)}", file=sys.stderr)
    return code
