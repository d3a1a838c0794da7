"""`skerry vm checkpoint`, `checkpoints`, `restore` and `delete-checkpoint`: a VM's restore points, in fewer words.

A VM's checkpoints are the points of all restore point collections of it; the first is made as NAME-checkpoints.
"""

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from skerry.cli.client import Client
from skerry.cli.errors import CliError
from skerry.cli.machines import Machine, Resource, Target, detailed, find
from skerry.cli.options import Command, with_output, with_target
from skerry.cli.output import Output, Row, printable
from skerry.cli.progress import Progress

_COLLECTIONS = "providers/Microsoft.Compute/restorePointCollections"
MIB = 1 << 20


class Point(Resource):
    """A restore point."""

    @property
    def created(self) -> str:
        """When it was made."""
        return str(self.data["properties"].get("timeCreated", ""))

    @property
    def kept(self) -> dict[str, Any]:
        """Whether memory is in it, its size and pauses."""
        return dict(self.data["properties"].get("skerry") or {})

    @property
    def state(self) -> str:
        """Its provisioning state."""
        return str(self.data["properties"].get("provisioningState", ""))

    def row(self) -> Row:
        """What a table shows."""
        size, pause = self.kept.get("sizeBytes"), self.kept.get("pauseSeconds")
        return {
            "Name": self.name,
            "Created": self.created[:19].replace("T", " "),
            "Memory": bool(self.kept.get("memory")),
            "Size": None if size is None else f"{size / MIB:.0f} MB",
            "Pause": None if pause is None else f"{pause * 1000:.0f} ms",
            "Provisioning": self.state,
        }


@dataclass(frozen=True)
class Origin:
    """The machine that a command line names, which may be gone."""

    state: Path
    name: str
    group: str | None

    def points(self) -> tuple[Client, list[Point]]:
        """A client and the checkpoints. Raises CliError when there neither is one nor a machine of that name."""
        client = Client.of(self.state)
        found = points_of(client, self.name, self.group)
        if not found:
            find(client, self.name, self.group)
        return client, found


def _with_origin(command: Command) -> Command:
    @with_target
    @functools.wraps(command)
    def wrapper(*args: Any, target: Target, **rest: Any) -> Any:
        return command(*args, origin=Origin(target.state, target.name, target.group), **rest)

    return wrapper


@click.command()
@with_target
@click.option("--name", "called", help="What to call it; the time of day if not given.")
@click.option("--no-memory", is_flag=True, help="Its disks only: the VM boots from them when it is put back.")
@with_output
def checkpoint(target: Target, called: str | None, no_memory: bool, output: Output) -> None:
    """Keep what it is now: its memory and its disks. It goes on running."""
    client, machine = target.find()
    with Progress(f"{machine.name}: checkpoint") as progress:
        progress.phase("saving")
        made = make(client, machine, called or stamp(), memory=not no_memory, progress=progress)
    output.show(made.data, [{"": name, made.name: value} for name, value in made.row().items()])


@click.command()
@_with_origin
@with_output
def checkpoints(origin: Origin, output: Output) -> None:
    """List its checkpoints, the newest last; also of a VM that was deleted."""
    _, found = origin.points()
    output.show([point.data for point in found], [point.row() for point in found])


@click.command()
@with_target
@click.argument("checkpoint", required=False)
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@with_output
def restore(target: Target, checkpoint: str | None, yes: bool, output: Output) -> None:
    """Put it back to a checkpoint, the newest if none is named: what it did since is lost."""
    client, machine = target.find()
    point = choose(points_of(client, machine.name, machine.group), machine.name, checkpoint)
    if not yes:
        click.confirm(
            f"Put {machine.name} back to '{point.name}' of {point.created[:19]}? What it did since is lost.",
            abort=True,
            err=True,
        )
    with Progress(f"{machine.name}: restore") as progress:
        progress.phase("waiting")
        client.change("POST", f"{point.id}/restore", tick=progress.tick)
    warn(client, machine)
    found = detailed(client, machine)
    output.show(found.data, [{"": name, found.name: value} for name, value in found.row().items()])


@click.command("delete-checkpoint")
@_with_origin
@click.argument("checkpoint")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@with_output
def delete_checkpoint(origin: Origin, checkpoint: str, yes: bool, output: Output) -> None:
    """Delete a checkpoint; VMs and disks that were made of it stay."""
    client, found = origin.points()
    point = choose(found, origin.name, checkpoint)
    if not yes:
        click.confirm(f"Delete the checkpoint '{point.name}' of {origin.name}?", abort=True, err=True)
    with Progress(f"{origin.name}: delete {point.name}") as progress:
        progress.phase("waiting")
        client.change("DELETE", point.id, tick=progress.tick)
    output.show({"id": point.id, "deleted": True}, [])


def make(client: Client, machine: Machine, name: str, *, memory: bool, progress: Progress) -> Point:
    """Make a checkpoint, in the machine's first collection."""
    collection = next((c["id"] for c in _collections(client, machine.name, machine.group)), None)
    if collection is None:
        collection = f"{client.group(machine.group)}/{_COLLECTIONS}/{machine.name}-checkpoints"
        source = {"source": {"id": machine.id}}
        client.change("PUT", collection, {"location": machine.data["location"], "properties": source})
    body = {"properties": {"skerry": {"memory": memory}}}
    made = client.change("PUT", f"{collection}/restorePoints/{quote(name, safe='')}", body, tick=progress.tick)
    if made is None:
        raise CliError(f"The checkpoint '{name}' was deleted in the meantime.")
    return Point(made)


def points_of(client: Client, name: str, group: str | None) -> list[Point]:
    """All checkpoints of the machine with this name, the oldest first. Raises CliError when several have the name."""
    found = []
    for collection in _collections(client, name, group):
        whole = client.get(collection["id"], **{"$expand": "restorePoints"}) or {"properties": {}}
        found += [Point(data) for data in whole["properties"].get("restorePoints") or []]
    return sorted(found, key=lambda point: (point.created, point.name))


def choose(points: Sequence[Point], machine: str, name: str | None) -> Point:
    """The checkpoint of that name, or the newest that is whole. Raises CliError when there is none."""
    if name is None:
        points = [point for point in points if point.state == "Succeeded"]
    else:
        points = [point for point in points if point.name.lower() == name.lower()]
    if not points:
        what = "no checkpoint" if name is None else f"no checkpoint '{name}'"
        raise CliError(
            f"{machine} has {what}. `skerry vm checkpoints {machine}` lists them, `skerry vm checkpoint {machine}` "
            "makes one."
        )
    return points[-1]


def warn(client: Client, machine: Machine) -> None:
    """Say on standard error what the host has to say of the machine: that it had to boot, and why."""
    message = (client.get(f"{machine.id}/explain") or {}).get("condition", {}).get("message")
    if message:
        click.echo(f"{machine.name}: {printable(message)}", err=True)


def stamp() -> str:
    """A name that sorts by time."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime())


def _collections(client: Client, name: str, group: str | None) -> list[dict[str, Any]]:
    found = []
    for collection in client.list(f"{client.subscription}/{_COLLECTIONS}"):
        parts = collection["properties"]["source"]["id"].split("/")
        if parts[-1].lower() == name.lower() and group in (None, parts[4]):
            found.append((parts[4].lower(), collection))
    groups = sorted({of for of, _ in found})
    if len(groups) > 1:
        raise CliError(f"'{name}' is in several resource groups ({', '.join(groups)}): say which with -g.")
    return [collection for _, collection in found]
