"""`skerry status`: whether Skerry runs and answers, what it has in hand, and what is stuck and why."""

import sys
from pathlib import Path
from typing import Any

import click

from skerry import __version__
from skerry.cli.client import Client
from skerry.cli.errors import CliError
from skerry.cli.health import healthy
from skerry.cli.options import with_output, with_state
from skerry.cli.output import Output, printable, table
from skerry.cli.state import credentials, database_of, running

_SHOWN = 10


@click.command()
@with_state
@with_output
def status(state: Path, output: Output) -> None:
    """Tell whether Skerry runs and what it does; the exit code is 1 unless it runs and answers."""
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
    work = _work(state) if answers else None
    rows = [{"": name, "Skerry": value} for name, value in {**data, **_counts(work)}.items()]
    output.show({**data, "work": work}, rows)
    if work and output.form == "table" and output.query is None:
        _show_operations(work["operations"])
    sys.exit(0 if answers else 1)


def _work(state: Path) -> dict[str, Any] | None:
    """What Skerry says of itself; None when its store can't be read now."""
    try:
        client = Client.of(state)
        found: dict[str, Any] = client.request("GET", f"{client.subscription}/providers/Skerry.Admin/status").json()
    except CliError as error:
        click.echo(f"skerry: it doesn't say what it has in hand: {printable(str(error))}", err=True)
        return None
    return found


def _counts(work: dict[str, Any] | None) -> dict[str, Any]:
    if work is None:
        return {}
    hosts, operations, kept = work["hosts"], work["operations"], work["database"]
    silent = f", {hosts['silent']} silent: {', '.join(hosts['silentNames'][:_SHOWN])}" if hosts["silent"] else ""
    used = f"{hosts['usedVcpus']} vCPUs and {hosts['usedMemoryBytes'] >> 20} MiB placed"
    guests = ", ".join(f"{count} {power}" for power, count in work["guests"].items())
    return {
        "hosts": f"{hosts['count']}{silent}; {used}",
        "guests": guests or "none",
        "operations": f"{operations['inFlight']} in flight, {len(operations['stuck'])} stuck",
        "templates": _templates(work["templates"]),
        "store": f"{kept['kind']}, schema {kept['schema']}, {kept['bytes'] >> 20} MiB",
    }


def _templates(found: dict[str, int]) -> str:
    if not found["memoryLimitBytes"]:
        return "none: warm starts are off"
    memory, disk = (
        f"{found[f'{what}Bytes'] >> 20} of {found[f'{what}LimitBytes'] >> 20} MiB" for what in ("memory", "disk")
    )
    standby = f"{found['standby']} machines stand by"
    return f"{found['count']}; {memory} of memory, {disk} of disk; {standby}"


def _show_operations(operations: dict[str, Any]) -> None:
    shown = operations["oldest"][:_SHOWN]
    rows = [
        {
            "Operation": row["kind"],
            "Resource": row["resource"].rpartition("/")[2],
            "Step": row["step"],
            "Seconds": row["seconds"],
            "InStep": row["stepSeconds"],
            "WaitsFor": row["waitsFor"],
        }
        for row in shown
    ]
    if rows:
        click.echo(f"\n{table(rows)}")
    for row in operations["stuck"][:_SHOWN]:
        click.echo(printable(f"\nStuck: {row['kind']} of {row['resource']}"))
        for cause in row["causes"]:
            click.echo(printable(f"  {cause}"))
