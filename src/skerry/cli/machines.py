"""Finding virtual machines and what belongs to them: state, addresses, administrator."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry.cli.client import Client
from skerry.cli.errors import CliError
from skerry.cli.output import Row

_VMS = "providers/Microsoft.Compute/virtualMachines"
_NICS = "providers/Microsoft.Network/networkInterfaces"
_ADDRESSES = "providers/Microsoft.Network/publicIPAddresses"


@dataclass(frozen=True)
class Resource:
    """The API's answer."""

    data: dict[str, Any]

    @property
    def id(self) -> str:
        """Its resource id."""
        return str(self.data["id"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.data["name"])


class Machine(Resource):
    """A virtual machine; `powerState`, `publicIps` and `privateIps` are added to it as `az -d` does."""

    @property
    def group(self) -> str:
        """Its resource group's name: /subscriptions/S/resourceGroups/GROUP/…"""
        return self.id.split("/")[4]

    @property
    def properties(self) -> dict[str, Any]:
        """The type's own properties."""
        return dict(self.data.get("properties") or {})

    def row(self) -> Row:
        """What a table shows."""
        return {
            "Name": self.name,
            "ResourceGroup": self.group,
            "Location": self.data.get("location"),
            "Size": (self.properties.get("hardwareProfile") or {}).get("vmSize"),
            "State": self.data.get("powerState"),
            "Provisioning": self.properties.get("provisioningState"),
            "PublicIps": self.data.get("publicIps"),
            "PrivateIps": self.data.get("privateIps"),
        }


@dataclass(frozen=True)
class Target:
    """The machine that a command line names; `group` may be left out while the name is unique."""

    state: Path
    name: str
    group: str | None

    def find(self) -> tuple[Client, Machine]:
        """A client and the machine. Raises CliError when there is none or several."""
        client = Client.of(self.state)
        return client, find(client, self.name, self.group)

    def look(self) -> tuple[Client, Machine]:
        """As `find`, with state and addresses."""
        client, machine = self.find()
        return client, detailed(client, machine)


def find(client: Client, name: str, group: str | None) -> Machine:
    """The machine of that name, anywhere if no group is given. Raises CliError when there is none or several."""
    if group is not None:
        data = client.get(f"{client.group(group)}/{_VMS}/{name}")
        if data is None:
            raise CliError(f"There is no virtual machine '{name}' in '{group}'. `skerry vm list` shows all.")
        return Machine(data)
    found = [Machine(data) for data in client.list(f"{client.subscription}/{_VMS}")]
    found = [machine for machine in found if machine.name.lower() == name.lower()]
    if not found:
        raise CliError(f"There is no virtual machine '{name}'. `skerry vm list` shows all.")
    if len(found) > 1:
        groups = ", ".join(machine.group for machine in found)
        raise CliError(f"'{name}' is in several resource groups ({groups}): say which with -g.")
    return found[0]


def rows(client: Client, group: str | None) -> list[Machine]:
    """All machines (of one group), with state and addresses."""
    scope = client.subscription if group is None else client.group(group)
    machines = list(client.list(f"{scope}/{_VMS}"))
    if not machines:
        return []
    nics = _by_id(client.list(f"{client.subscription}/{_NICS}"))
    addresses = _by_id(client.list(f"{client.subscription}/{_ADDRESSES}"))
    found = [_with_details(client, machine, nics, addresses) for machine in machines]
    return [machine for machine in found if machine is not None]


def detailed(client: Client, machine: Machine) -> Machine:
    """The machine with state and addresses. Raises CliError if it has gone."""
    ids = [reference["id"] for reference in _references(machine.data)]
    nics = _by_id(nic for nic in map(client.get, ids) if nic is not None)
    addresses = _by_id(a for a in map(client.get, _public_ids(list(nics.values()))) if a is not None)
    found = _with_details(client, machine.data, nics, addresses)
    if found is None:
        raise CliError(f"'{machine.name}' was deleted in the meantime.")
    return found


def _with_details(
    client: Client, machine: dict[str, Any], nics: dict[str, Any], addresses: dict[str, Any]
) -> Machine | None:
    full = client.get(machine["id"], **{"$expand": "instanceView"})
    if full is None:
        return None
    own = [nics[r["id"].lower()] for r in _references(full) if r["id"].lower() in nics]
    public = [addresses[i.lower()] for i in _public_ids(own) if i.lower() in addresses]
    private = [c["properties"].get("privateIPAddress") for nic in own for c in nic["properties"]["ipConfigurations"]]
    return Machine(
        {
            **full,
            "powerState": power_state(full),
            "publicIps": ",".join(a["properties"]["ipAddress"] for a in public if a["properties"].get("ipAddress")),
            "privateIps": ",".join(address for address in private if address),
        }
    )


def power_state(machine: dict[str, Any]) -> str:
    """`VM running` and so on, from the instance view; "" before the first report."""
    view = machine.get("properties", {}).get("instanceView") or {}
    codes = [status for status in view.get("statuses", []) if status.get("code", "").startswith("PowerState/")]
    return str(codes[0].get("displayStatus", "")) if codes else ""


def _references(machine: dict[str, Any]) -> list[dict[str, Any]]:
    profile = machine.get("properties", {}).get("networkProfile") or {}
    return list(profile.get("networkInterfaces") or [])


def _public_ids(nics: list[dict[str, Any]]) -> list[str]:
    configurations = [c["properties"] for nic in nics for c in nic["properties"].get("ipConfigurations", [])]
    return [c["publicIPAddress"]["id"] for c in configurations if c.get("publicIPAddress")]


def _by_id(resources: Any) -> dict[str, Any]:
    return {resource["id"].lower(): resource for resource in resources}
