"""`skerry status`: whether Skerry runs, where, and whether it answers."""

import sys
from pathlib import Path

import click

from skerry import __version__
from skerry.cli.health import healthy
from skerry.cli.options import with_output, with_state
from skerry.cli.output import Output
from skerry.cli.state import credentials, database_of, running


@click.command()
@with_state
@with_output
def status(state: Path, output: Output) -> None:
    """Tell whether Skerry runs; the exit code is 1 unless it runs and answers."""
    found = running(state)
    answers = found is not None and healthy(found.base_url, state)
    data = {
        "running": found is not None,
        "answers": answers,
        "url": found.base_url if found else None,
        "pid": found.pid if found else None,
        "state": str(state),
        "database": database_of(state),
        "subscriptionId": credentials(state).subscription_id if found else None,
        "version": __version__,
    }
    output.show(data, [{"": name, "Skerry": value} for name, value in data.items()])
    sys.exit(0 if answers else 1)
