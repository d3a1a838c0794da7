"""The guest that benchmarks boot: its network, made beforehand, and its own requests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import run
from bench.skerry import Skerry, succeeded, until
from skerry.cli.client import Client
from skerry.cli.vm_create import image_reference

GROUP = "bench"
USER = "bench"
SIZE = "Standard_B2s"
READY_SECONDS = 600
DELETE_SECONDS = 180
SSH = (
    *("ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"),
    *("-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=30"),
)
_ANY = {"sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationAddressPrefix": "*"}


@dataclass(frozen=True)
class Site:
    """A resource group with a NIC that SSH reaches at `address`; `key` is the private key's file."""

    skerry: Skerry
    group: str
    nic: str
    address: str
    key: Path

    def path(self, name: str) -> str:
        """A VM's id."""
        return f"{self.group}/providers/Microsoft.Compute/virtualMachines/{name}"

    def body(self, name: str) -> dict[str, Any]:
        """The body of a VM's PUT. Its disk goes with it."""
        keys = [{"path": f"/home/{USER}/.ssh/authorized_keys", "keyData": public_key(self.key)}]
        linux = {"disablePasswordAuthentication": True, "ssh": {"publicKeys": keys}}
        image = image_reference(self.skerry.client, "Debian12")
        disk = {"createOption": "FromImage", "deleteOption": "Delete"}
        properties = {
            "hardwareProfile": {"vmSize": SIZE},
            "storageProfile": {"imageReference": image, "osDisk": disk},
            "osProfile": {"computerName": name, "adminUsername": USER, "linuxConfiguration": linux},
            "networkProfile": {"networkInterfaces": [{"id": self.nic}]},
        }
        return {"location": "local", "properties": properties}

    def create(self, name: str) -> str:
        """A VM that is ready; its id."""
        path = self.path(name)
        self.skerry.client.change("PUT", path, self.body(name), wait=False)
        until(lambda: succeeded(self.skerry.client, path), READY_SECONDS, f"VM {name}")
        return path

    def delete(self, name: str) -> None:
        """End and remove the VM."""
        client, path = self.skerry.client, self.path(name)
        client.change("DELETE", path, wait=False)
        until(lambda: True if client.get(path) is None else None, DELETE_SECONDS, f"the end of VM {name}")


def site(skerry: Skerry) -> Site:
    """The network and a key, made before anything is measured."""
    key = new_key(skerry.folder)
    client, group = skerry.client, skerry.client.group(GROUP)
    client.change("PUT", group, {"location": "local"})
    network = f"{group}/providers/Microsoft.Network"
    subnet = {"name": "default", "properties": {"addressPrefix": "10.0.0.0/24"}}
    space = {"addressPrefixes": ["10.0.0.0/16"]}
    rules = _put(client, f"{network}/networkSecurityGroups/ssh", {"securityRules": [_allow_ssh()]})
    vnet = _put(client, f"{network}/virtualNetworks/net", {"addressSpace": space, "subnets": [subnet]})
    fixed = {"publicIPAllocationMethod": "Static"}
    address = _put(client, f"{network}/publicIPAddresses/out", fixed, sku={"name": "Standard"})
    place = {"subnet": {"id": f"{vnet['id']}/subnets/default"}, "publicIPAddress": {"id": address["id"]}}
    configurations = [{"name": "one", "properties": place}]
    nic = {"ipConfigurations": configurations, "networkSecurityGroup": {"id": rules["id"]}}
    nic_id = _put(client, f"{network}/networkInterfaces/nic", nic)["id"]
    return Site(skerry, group, nic_id, address["properties"]["ipAddress"], key)


def new_key(folder: Path) -> Path:
    """A key pair; the private one's file."""
    key = folder / "id_ed25519"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", key], timeout=30)
    return key


def public_key(key: Path) -> str:
    """The public half of a pair, as one line."""
    return key.with_name(f"{key.name}.pub").read_text().strip()


def _put(client: Client, path: str, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return dict(client.change("PUT", path, {"location": "local", "properties": properties, **more}))


def _allow_ssh() -> dict[str, Any]:
    rule = {"priority": 1000, "direction": "Inbound", "access": "Allow", "protocol": "Tcp"}
    return {"name": "ssh", "properties": {**rule, **_ANY, "destinationPortRange": "22"}}
