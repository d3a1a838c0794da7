"""Options that many commands share."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from skerry.cli.machines import Target
from skerry.cli.output import Output
from skerry.cli.state import state_folder

Command = Callable[..., Any]


def with_state(command: Command) -> Command:
    """Give `command` a `state: Path`, from --state, $SKERRY_STATE or the user's default folder."""

    @click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="SKERRY_STATE",
        metavar="DIR",
        help="Where this Skerry keeps everything.  [env: SKERRY_STATE]",
    )
    @functools.wraps(command)
    def wrapper(*args: Any, state: Path | None, **rest: Any) -> Any:
        return command(*args, state=state_folder(state), **rest)

    return wrapper


def with_database(command: Command) -> Command:
    """Give `command` a `database: str | None`, from --database or $SKERRY_DATABASE."""
    return click.option(
        "--database",
        envvar="SKERRY_DATABASE",
        metavar="URL",
        help="postgresql://… that control planes share, instead of a file in the state folder. "
        "A password is safer in the variable than here.  [env: SKERRY_DATABASE]",
    )(command)


def with_output(command: Command) -> Command:
    """Give `command` an `output: Output`, from -o and --query."""

    @click.option("-o", "--output", "form", type=click.Choice(["json", "table"]), default="table", show_default=True)
    @click.option("--query", metavar="JMESPATH", help="Show this part of the answer only.")
    @functools.wraps(command)
    def wrapper(*args: Any, form: str, query: str | None, **rest: Any) -> Any:
        return command(*args, output=Output(form, query), **rest)

    return wrapper


def with_target(command: Command) -> Command:
    """Give `command` a `target: Target`, from the argument NAME, -g and the state folder."""

    @click.argument("name")
    @click.option("-g", "--resource-group", "group", help="Needed when the name is there more than once.")
    @with_state
    @functools.wraps(command)
    def wrapper(*args: Any, name: str, group: str | None, state: Path, **rest: Any) -> Any:
        return command(*args, target=Target(state, name, group), **rest)

    return wrapper
