"""`skerry vm create`: a virtual machine with its network, security group and public address.

The parts are named as az names them, and an existing virtual network of the group is used, as az does. Each part is
a PUT of its own: repeating the command after a failure goes on where it stopped.
"""

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click

from skerry.cli.client import Client
from skerry.cli.errors import CliError
from skerry.cli.keys import GENERATED, public_key
from skerry.cli.machines import Machine, detailed, power_state
from skerry.cli.options import with_output, with_state
from skerry.cli.output import Output
from skerry.cli.progress import Progress

_NETWORK = "providers/Microsoft.Network"
_COMPUTE = "providers/Microsoft.Compute"


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    name: str
    location: str
    image: str
    size: str
    user: str
    key: str
    custom_data: bytes | None


@click.command()
@click.argument("name")
@click.option("-g", "--resource-group", "group", default="default", show_default=True, help="Made when it isn't there.")
@click.option("--image", default="Debian12", show_default=True, help="An alias, a URN or a resource id.")
@click.option("--size", default="Standard_B1s", show_default=True)
@click.option("--admin-username", "user", default="skerry", show_default=True)
@click.option(
    "--ssh-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A public key file; your own default key if not given, else one is made.",
)
@click.option(
    "--custom-data", type=click.File("rb"), help="Run at the first boot: a script or a cloud-config; - is stdin."
)
@click.option("--location", default="local", show_default=True)
@click.option("--no-wait", is_flag=True, help="Return once the machine's creation is accepted.")
@with_state
@with_output
def create(
    *,
    name: str,
    group: str,
    image: str,
    size: str,
    user: str,
    ssh_key: Path | None,
    custom_data: IO[bytes] | None,
    location: str,
    no_wait: bool,
    state: Path,
    output: Output,
) -> None:
    """Create a virtual machine and wait until it can be logged in to."""
    client = Client.of(state)
    key, path, made = public_key(ssh_key, state / GENERATED)
    if made:
        click.echo(f"You have no SSH key: made {path.with_suffix('')}, which `skerry vm ssh` uses.", err=True)
    wanted = Wanted(name, location, image, size, user, key, custom_data.read() if custom_data else None)
    with Progress(f"Creating {name}") as progress:
        data = _create(client, client.group(group), wanted, progress, wait=not no_wait)
    machine = detailed(client, Machine(data))
    output.show(machine.data, [{"": title, machine.name: value} for title, value in machine.row().items()])


def _create(client: Client, group: str, wanted: Wanted, progress: Progress, *, wait: bool) -> dict[str, Any]:
    progress.phase("looking the image up")
    image = image_reference(client, wanted.image)
    progress.phase("network")
    if client.get(group) is None:
        client.change("PUT", group, {"location": wanted.location})

    def put(kind: str, suffix: str, properties: dict[str, Any], **more: Any) -> str:
        path = f"{group}/{_NETWORK}/{kind}/{wanted.name}{suffix}"
        client.change("PUT", path, {"location": wanted.location, "properties": properties, **more}, tick=progress.tick)
        return path

    subnet = (
        _subnet(client, group, wanted)
        or put("virtualNetworks", "VNET", _vnet(wanted)) + f"/subnets/{wanted.name}Subnet"
    )
    rules = put("networkSecurityGroups", "NSG", {"securityRules": [_allow_ssh()]})
    progress.phase("public address")
    static = {"publicIPAllocationMethod": "Static"}
    address = put("publicIPAddresses", "PublicIP", static, sku={"name": "Standard"})
    progress.phase("network interface")
    nic = put("networkInterfaces", "VMNic", _nic(wanted, subnet, rules, address))
    progress.phase("virtual machine")
    path = f"{group}/{_COMPUTE}/virtualMachines/{wanted.name}"
    body = {"location": wanted.location, "properties": vm_properties(wanted, image, nic)}
    watch = _Watch(client, path, progress)
    found = client.change("PUT", path, body, wait=wait, tick=watch.tick)
    if found is None:
        raise CliError(f"'{wanted.name}' was deleted in the meantime.")
    return dict(found)


class _Watch:
    """Turns what the API shows of a machine on its way into phases, asking at most once a second."""

    def __init__(self, client: Client, path: str, progress: Progress) -> None:
        self._client, self._path, self._progress = client, path, progress
        self._asked = progress.seconds

    def tick(self) -> None:
        self._progress.tick()
        if self._progress.seconds - self._asked < 1:
            return
        self._asked = self._progress.seconds
        power = power_state(self._client.get(self._path, **{"$expand": "instanceView"}) or {})
        started = power.lower() == "vm running"
        self._progress.phase("booting, waiting for the guest's report" if started else "preparing disk and start")


def image_reference(client: Client, image: str) -> dict[str, str]:
    """The reference for an alias (looked up in this Skerry's own list), a URN or a resource id."""
    if image.startswith("/"):
        return {"id": image}
    parts = image.split(":")
    if len(parts) == 4:
        return dict(zip(("publisher", "offer", "sku", "version"), parts, strict=True))
    document = client.exchange("GET", "/images/aliases.json").json()
    systems = document["outputs"]["aliases"]["value"]
    aliases = {name: urn for system in systems.values() for name, urn in system.items()}
    by_name = {name.lower(): urn for name, urn in aliases.items()}
    if image.lower() not in by_name:
        raise CliError(
            f"There is no image '{image}' here. There are: {', '.join(aliases) or 'none'}. "
            "Build one with `skerry image build debian-12`, or bring one with `skerry image import FILE`."
        )
    urn = by_name[image.lower()]
    return {part: str(urn[part]) for part in ("publisher", "offer", "sku", "version")}


def vm_properties(wanted: Wanted, image: dict[str, str], nic: str) -> dict[str, Any]:
    """The properties of the machine; its disk and interface go when it goes."""
    keys = [{"path": f"/home/{wanted.user}/.ssh/authorized_keys", "keyData": wanted.key}]
    return {
        "hardwareProfile": {"vmSize": wanted.size},
        "storageProfile": {
            "imageReference": image,
            "osDisk": {"createOption": "FromImage", "deleteOption": "Delete"},
        },
        "osProfile": {
            "computerName": wanted.name,
            "adminUsername": wanted.user,
            "linuxConfiguration": {"disablePasswordAuthentication": True, "ssh": {"publicKeys": keys}},
            **({"customData": b64encode(wanted.custom_data).decode()} if wanted.custom_data else {}),
        },
        "networkProfile": {"networkInterfaces": [{"id": nic, "properties": {"deleteOption": "Delete"}}]},
        "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},
    }


def _subnet(client: Client, group: str, wanted: Wanted) -> str | None:
    """The first subnet of a virtual network that is in the group and location already."""
    for vnet in client.list(f"{group}/{_NETWORK}/virtualNetworks"):
        subnets = vnet["properties"].get("subnets") or []
        if vnet["location"] == wanted.location and subnets:
            return str(subnets[0]["id"])
    return None


def _vnet(wanted: Wanted) -> dict[str, Any]:
    subnet = {"name": f"{wanted.name}Subnet", "properties": {"addressPrefix": "10.0.0.0/24"}}
    return {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": [subnet]}


def _nic(wanted: Wanted, subnet: str, rules: str, address: str) -> dict[str, Any]:
    configuration = {
        "privateIPAllocationMethod": "Dynamic",
        "subnet": {"id": subnet},
        "publicIPAddress": {"id": address, "properties": {"deleteOption": "Delete"}},
    }
    return {
        "ipConfigurations": [{"name": f"ipconfig{wanted.name}", "properties": configuration}],
        "networkSecurityGroup": {"id": rules},
    }


def _allow_ssh() -> dict[str, Any]:
    properties = {
        "priority": 1000,
        "direction": "Inbound",
        "access": "Allow",
        "protocol": "Tcp",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "22",
    }
    return {"name": "default-allow-ssh", "properties": properties}
