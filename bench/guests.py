"""The guest that benchmarks boot: its network, made beforehand, and its own requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import run
from bench.skerry import Skerry, succeeded, until
from skerry.cli.client import Client
from skerry.cli.vm_create import image_reference

GROUP = "bench"
USER, KEY = "bench", "id_ed25519"
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
    size: str

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
            "hardwareProfile": {"vmSize": self.size},
            "storageProfile": {"imageReference": image, "osDisk": disk},
            "osProfile": {"computerName": name, "adminUsername": USER, "linuxConfiguration": linux},
            "networkProfile": {"networkInterfaces": [{"id": self.nic}]},
        }
        return {"location": "local", "properties": properties}

    def put(self, name: str, tags: Mapping[str, str] | None = None) -> str:
        """Ask for a VM; its vmId."""
        body = {**self.body(name), "tags": tags or {}}
        made = self.skerry.client.change("PUT", self.path(name), body, wait=False)
        return str(made["properties"]["vmId"])

    def create(self, name: str, tags: Mapping[str, str] | None = None) -> str:
        """A VM that is ready; its id."""
        path = self.path(name)
        self.put(name, tags)
        until(lambda: succeeded(self.skerry.client, path), READY_SECONDS, f"VM {name}")
        return path

    def delete(self, name: str) -> None:
        """End and remove the VM."""
        client, path = self.skerry.client, self.path(name)
        client.change("DELETE", path, wait=False)
        until(lambda: True if client.get(path) is None else None, DELETE_SECONDS, f"the end of VM {name}")


def site(skerry: Skerry, size: str = SIZE) -> Site:
    """The network and a key, made before anything is measured."""
    return sites(skerry, 1, size)[0]


def sites(skerry: Skerry, count: int, size: str = SIZE) -> list[Site]:
    """So many NICs, each with an address of its own, in one network and group."""
    key = new_key(skerry.folder)
    client, group = skerry.client, skerry.client.group(GROUP)
    client.change("PUT", group, {"location": "local"})
    network = f"{group}/providers/Microsoft.Network"
    subnet = {"name": "default", "properties": {"addressPrefix": "10.0.0.0/24"}}
    space = {"addressPrefixes": ["10.0.0.0/16"]}
    rules = _put(client, f"{network}/networkSecurityGroups/ssh", {"securityRules": [_allow_ssh()]})
    vnet = _put(client, f"{network}/virtualNetworks/net", {"addressSpace": space, "subnets": [subnet]})
    nics = [_nic(client, network, number, vnet["id"], rules["id"]) for number in range(count)]
    return [Site(skerry, group, nic, address, key, size) for nic, address in nics]


def _nic(client: Client, network: str, number: int, vnet: str, rules: str) -> tuple[str, str]:
    """A NIC that SSH reaches: its id and public address."""
    fixed = {"publicIPAllocationMethod": "Static"}
    address = _put(client, f"{network}/publicIPAddresses/out{number}", fixed, sku={"name": "Standard"})
    place = {"subnet": {"id": f"{vnet}/subnets/default"}, "publicIPAddress": {"id": address["id"]}}
    nic = {"ipConfigurations": [{"name": "one", "properties": place}], "networkSecurityGroup": {"id": rules}}
    made = _put(client, f"{network}/networkInterfaces/nic{number}", nic)
    return made["id"], address["properties"]["ipAddress"]


def new_key(folder: Path) -> Path:
    """A key pair; the private one's file."""
    key = folder / KEY
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
