"""`skerry vm`: virtual machines through the API: every command here is what az would ask for, in fewer words."""

import sys
from pathlib import Path

import click

from skerry.cli.app import LazyGroup
from skerry.cli.client import Client
from skerry.cli.machines import Machine, Target, detailed, rows
from skerry.cli.options import with_output, with_state, with_target
from skerry.cli.output import Output, printable
from skerry.cli.progress import Progress

vm = LazyGroup(
    "vm",
    {
        "create": "skerry.cli.vm_create:create",
        "list": "skerry.cli.vm:list_",
        "show": "skerry.cli.vm:show",
        "start": "skerry.cli.vm:start",
        "stop": "skerry.cli.vm:stop",
        "restart": "skerry.cli.vm:restart",
        "deallocate": "skerry.cli.vm:deallocate",
        "resize": "skerry.cli.vm:resize",
        "delete": "skerry.cli.vm:delete",
        "checkpoint": "skerry.cli.checkpoints:checkpoint",
        "checkpoints": "skerry.cli.checkpoints:checkpoints",
        "restore": "skerry.cli.checkpoints:restore",
        "fork": "skerry.cli.fork:fork",
        "delete-checkpoint": "skerry.cli.checkpoints:delete_checkpoint",
        "ssh": "skerry.cli.ssh:ssh",
        "run": "skerry.cli.ssh:run",
        "console": "skerry.cli.vm:console",
        "explain": "skerry.cli.explain:explain",
    },
    "Virtual machines.",
)
_NO_WAIT = click.option("--no-wait", is_flag=True, help="Return once the change is accepted.")


@click.command("list")
@click.option("-g", "--resource-group", "group", help="This group's only.")
@with_state
@with_output
def list_(group: str | None, state: Path, output: Output) -> None:
    """List virtual machines with their state and addresses."""
    found = rows(Client.of(state), group)
    output.show([machine.data for machine in found], [machine.row() for machine in found])


@click.command()
@with_target
@with_output
def show(target: Target, output: Output) -> None:
    """Show one virtual machine."""
    _print(*target.find(), output)


@click.command()
@with_target
@_NO_WAIT
@with_output
def start(target: Target, no_wait: bool, output: Output) -> None:
    """Start it; a deallocated one gets its CPU and memory back."""
    _act(target, "start", no_wait, output)


@click.command()
@with_target
@_NO_WAIT
@with_output
def stop(target: Target, no_wait: bool, output: Output) -> None:
    """Shut the guest down; CPU and memory stay reserved (deallocate gives them back)."""
    _act(target, "powerOff", no_wait, output)


@click.command()
@with_target
@_NO_WAIT
@with_output
def restart(target: Target, no_wait: bool, output: Output) -> None:
    """Restart the guest."""
    _act(target, "restart", no_wait, output)


@click.command()
@with_target
@_NO_WAIT
@with_output
def deallocate(target: Target, no_wait: bool, output: Output) -> None:
    """Shut the guest down and give its CPU and memory back."""
    _act(target, "deallocate", no_wait, output)


@click.command()
@with_target
@click.option("--size", required=True, help="One of the sizes that this Skerry has, as Standard_B2s.")
@_NO_WAIT
@with_output
def resize(target: Target, size: str, no_wait: bool, output: Output) -> None:
    """Give it another size; a running one restarts."""
    client, machine = target.find()
    body = {"properties": {"hardwareProfile": {"vmSize": size}}}
    with Progress(f"{machine.name}: resize") as progress:
        progress.phase("waiting")
        client.change("PATCH", machine.id, body, wait=not no_wait, tick=progress.tick)
    _print(client, machine, output)


@click.command()
@with_target
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@_NO_WAIT
@with_output
def delete(target: Target, yes: bool, no_wait: bool, output: Output) -> None:
    """Delete it, and what was made to be deleted with it."""
    client, machine = target.find()
    if not yes:
        click.confirm(f"Delete {machine.name} in {machine.group}?", abort=True, err=True)
    with Progress(f"{machine.name}: delete") as progress:
        progress.phase("waiting")
        client.change("DELETE", machine.id, wait=not no_wait, tick=progress.tick)
    output.show({"id": machine.id, "deleted": not no_wait}, [])


@click.command()
@with_target
@with_output
def console(target: Target, output: Output) -> None:
    """Print what the guest has written to its serial console."""
    client, machine = target.find()
    links = client.request("POST", f"{machine.id}/retrieveBootDiagnosticsData").json()
    log = client.fetch(links["serialConsoleLogBlobUri"])
    if output.form == "json" or output.query is not None:
        output.show({"serialLog": log.decode(errors="replace")}, [])
    elif sys.stdout.isatty():
        # A guest writes what it likes; nothing of it may steer the terminal.
        click.echo(printable(log.decode(errors="replace").replace("\r\n", "\n")))
    else:
        sys.stdout.buffer.write(log)


def _act(target: Target, action: str, no_wait: bool, output: Output) -> None:
    client, machine = target.find()
    with Progress(f"{machine.name}: {action}") as progress:
        progress.phase("waiting")
        client.change("POST", f"{machine.id}/{action}", wait=not no_wait, tick=progress.tick)
    _print(client, machine, output)


def _print(client: Client, machine: Machine, output: Output) -> None:
    found = detailed(client, machine)
    output.show(found.data, [{"": name, found.name: value} for name, value in found.row().items()])
