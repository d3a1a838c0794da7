"""`skerry vm fork`: new machines that go on from a running one's memory, each with an identity of its own."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import click

from skerry.cli.checkpoints import Point, choose, make, points_of, stamp, warn
from skerry.cli.client import Client, Reply
from skerry.cli.errors import ApiError, CliError
from skerry.cli.machines import Machine, Target, detailed
from skerry.cli.options import with_output, with_target
from skerry.cli.output import Output
from skerry.cli.progress import Progress

_NETWORK = "providers/Microsoft.Network"
_COMPUTE = "providers/Microsoft.Compute"


@click.command()
@with_target
@click.option("--count", "number", type=click.IntRange(1, 100), default=1, show_default=True, help="How many.")
@click.option("--from", "checkpoint", metavar="CHECKPOINT", help="With memory; if not given, one is made for the time.")
@click.option("--prefix", help="What the new names begin with; NAME if not given.")
@with_output
def fork(target: Target, number: int, checkpoint: str | None, prefix: str | None, output: Output) -> None:
    """Make machines that go on from its memory and disks, named NAME-1, NAME-2 …

    Each has a network interface in the same subnet with the same security group, a public address, and an identity of
    its own. It goes on running itself.
    """
    client, machine = target.find()
    with Progress(f"{machine.name}: fork") as progress:
        point = _point(client, machine, checkpoint, progress)
        made = _fork(client, machine, point, _names(client, machine, prefix or machine.name, number), progress)
        if checkpoint is None:
            progress.phase(f"removing the checkpoint {point.name}")
            client.change("DELETE", point.id, tick=progress.tick)
    for one in made:
        warn(client, one)
    found = [detailed(client, one) for one in made]
    output.show([one.data for one in found], [one.row() for one in found])


def _point(client: Client, machine: Machine, checkpoint: str | None, progress: Progress) -> Point:
    if checkpoint is not None:
        return choose(points_of(client, machine.name, machine.group), machine.name, checkpoint)
    name = f"fork-{stamp()}"
    progress.phase(f"saving memory and disks as {name}")
    return make(client, machine, name, memory=True, progress=progress)


def _names(client: Client, machine: Machine, prefix: str, number: int) -> list[str]:
    """The first names with this prefix that no machine has."""
    machines = client.list(f"{client.group(machine.group)}/{_COMPUTE}/virtualMachines")
    taken = {data["name"].lower() for data in machines}
    free = (name for name in (f"{prefix}-{n}" for n in count(1)) if name.lower() not in taken)
    return [next(free) for _ in range(number)]


def _fork(client: Client, machine: Machine, point: Point, names: list[str], progress: Progress) -> list[Machine]:
    """All are asked for before the first is waited for. Raises CliError with what became of each that failed."""
    properties = _nic_properties(client, machine)
    begun: list[tuple[str, Reply]] = []
    for name in names:
        progress.phase(f"network of {name}")
        nic = _nic(client, machine, name, properties)
        path = f"{client.group(machine.group)}/{_COMPUTE}/virtualMachines/{name}"
        begun.append((path, client.request("PUT", path, _body(machine, point, name, nic))))
    failures = list(_await(client, begun, progress))
    if failures:
        raise CliError(
            f"{len(failures)} of {len(names)} could not be forked: {' '.join(failures)} The checkpoint '{point.name}' "
            "is kept: delete what failed and go on with --from."
        )
    return [Machine(client.get(path)) for path, _ in begun]


def _await(client: Client, begun: list[tuple[str, Reply]], progress: Progress) -> Iterator[str]:
    for path, reply in begun:
        name = path.rpartition("/")[2]
        progress.phase(f"waiting for {name}")
        try:
            client.finish(reply, tick=progress.tick)
        except ApiError as error:
            yield f"{name}: {error}"


def _body(machine: Machine, point: Point, name: str, nic: str) -> dict[str, Any]:
    size = point.data["properties"]["sourceMetadata"]["hardwareProfile"]
    storage = {"imageReference": {"id": point.id}, "osDisk": {"createOption": "FromImage", "deleteOption": "Delete"}}
    properties = {
        "hardwareProfile": size,
        "storageProfile": storage,
        "osProfile": {"computerName": name},
        "networkProfile": {"networkInterfaces": [{"id": nic, "properties": {"deleteOption": "Delete"}}]},
        "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},
    }
    return {"location": machine.data["location"], "properties": properties}


def _nic_properties(client: Client, machine: Machine) -> dict[str, Any]:
    """Subnet and security group of the machine's first network interface."""
    references = (machine.properties.get("networkProfile") or {}).get("networkInterfaces") or []
    nic = client.get(references[0]["id"]) if references else None
    if nic is None:
        raise CliError(f"{machine.name} has no network interface any more.")
    subnet = nic["properties"]["ipConfigurations"][0]["properties"]["subnet"]
    group = nic["properties"].get("networkSecurityGroup")
    return {"subnet": {"id": subnet["id"]}, **({"group": {"id": group["id"]}} if group else {})}


def _nic(client: Client, machine: Machine, name: str, properties: dict[str, Any]) -> str:
    where, location = f"{client.group(machine.group)}/{_NETWORK}", machine.data["location"]
    address = f"{where}/publicIPAddresses/{name}PublicIP"
    static = {"location": location, "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}}
    client.change("PUT", address, static)
    configuration = {
        "privateIPAllocationMethod": "Dynamic",
        "subnet": properties["subnet"],
        "publicIPAddress": {"id": address, "properties": {"deleteOption": "Delete"}},
    }
    nic = f"{where}/networkInterfaces/{name}VMNic"
    group = {"networkSecurityGroup": properties["group"]} if "group" in properties else {}
    body = {"ipConfigurations": [{"name": f"ipconfig{name}", "properties": configuration}], **group}
    client.change("PUT", nic, {"location": location, "properties": body})
    return nic
