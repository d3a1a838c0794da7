"""`skerry vm explain`: why a virtual machine is where it is and as it is."""

from collections.abc import Iterator
from typing import Any

import click

from skerry.cli.machines import Target
from skerry.cli.options import with_output, with_target
from skerry.cli.output import Output, printable, table

_MOST_HOSTS = 20


@click.command()
@with_target
@with_output
def explain(target: Target, output: Output) -> None:
    """Tell why it is where it is: placement, the steps of its latest operation, what its host says, the last error."""
    client, machine = target.find()
    found = client.request("GET", f"{machine.id}/explain").json()
    if output.form == "json" or output.query is not None:
        output.show(found, [])
        return
    for line in _lines(found):
        click.echo(printable(line))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    condition = found["condition"]
    yield f"{found['name']}  ({found['size']}, vmId {found['vmId']})"
    yield f"  provisioning {found['provisioningState']}, wanted {condition['wanted']}, power {condition['power']}"
    yield ""
    yield from _placement(found["placement"])
    yield ""
    yield from _operation(found["operation"])
    yield ""
    yield from _condition(condition)
    if found["failure"]:
        failure = found["failure"]
        yield from (
            "",
            "Last error",
            f"  {failure['code']}: {failure['message']}",
            f"  What to do: {failure['advice']}",
        )
    yield from ("", "Activity")
    for event in found["activity"]:
        error = f"  {event['error']}" if event["error"] else ""
        yield f"  {event['time'][:19]}  {event['action']}  {event['status']}  by {event['caller']}{error}"


def _placement(placement: dict[str, Any]) -> Iterator[str]:
    yield "Placement"
    yield (
        f"  on host {placement['host']}" if placement["host"] else "  on no host: it is deallocated, or not placed yet"
    )
    if placement["chosen"]:
        yield f"  chosen at {placement['chosen'][:19]} among {placement['hosts']} host(s)"
    for reason, count in placement["turnedDown"].items():
        yield f"  {count} turned down: {reason}"
    rejected = placement["rejected"]
    yield from (f"    {host}: {reason}" for host, reason in list(rejected.items())[:_MOST_HOSTS])
    if len(rejected) > _MOST_HOSTS:
        yield f"    and {len(rejected) - _MOST_HOSTS} more; -o json has all"


def _operation(operation: dict[str, Any] | None) -> Iterator[str]:
    if operation is None:
        yield "Latest operation: none is remembered"
        return
    yield f"Latest operation: {operation['kind']}  {operation['status']}  {operation['seconds']} s"
    yield f"  {operation['operation']}, from {operation['started'][:19]}, by {operation['caller']}"
    rows = [
        {
            "Step": s["step"],
            "Began": s["began"][11:23],
            "Seconds": s["seconds"],
            "Looked": s["times"],
            "Then": s["outcome"],
        }
        for s in operation["steps"]
    ]
    if rows:
        yield from (f"  {line}" for line in table(rows).splitlines())


def _condition(condition: dict[str, Any]) -> Iterator[str]:
    yield f"As its host reports it (last report {(condition['reported'] or 'never')[:19]})"
    yield f"  power {condition['power']}, guest {condition['health']}"
    if condition["phases"]:
        phases = ", ".join(f"{name} after {seconds} s" for name, seconds in condition["phases"].items())
        origin = "a template" if "restored" in condition["phases"] else "a machine that stood by"
        yield f"  started warm, from {origin}: {phases}"
    yield from (f"  {line}" for line in condition["message"].splitlines())
    yield from (f"  can't do its part yet: {problem}" for problem in condition["problems"])
