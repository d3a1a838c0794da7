"""What users ask for in the stateful test, and a model of what they were promised."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.api.client import Answer, Arm

GROUP = "resourceGroups/rg"
_PROVIDERS = f"{GROUP}/providers"
NETWORK, COMPUTE = f"{_PROVIDERS}/Microsoft.Network", f"{_PROVIDERS}/Microsoft.Compute"
VNET, NSG = f"{NETWORK}/virtualNetworks/net", f"{NETWORK}/networkSecurityGroups/nsg"


def vm(name: str) -> str:
    """A VM's path."""
    return f"{COMPUTE}/virtualMachines/{name}"


def disk(name: str) -> str:
    """A disk's path."""
    return f"{COMPUTE}/disks/{name}"


COLLECTION = f"{COMPUTE}/restorePointCollections/kept"


def point(name: str) -> str:
    """A restore point's path."""
    return f"{COLLECTION}/restorePoints/{name}"


def nic(name: str) -> str:
    """A NIC's path."""
    return f"{NETWORK}/networkInterfaces/{name}"


def public(name: str) -> str:
    """A public address's path."""
    return f"{NETWORK}/publicIPAddresses/{name}"


@dataclass
class Promises:
    """What was acknowledged.

    `there`: the resources that exist, with their tags. `leaving`: deletes under way, by path the URL to poll.
    `takes`: what a VM takes along when it is deleted. `unsure`: paths below which a request got no answer, or a delete
    failed half-way: what is there now has to be looked up. `ended`: operations that have, with their status.
    """

    there: dict[str, dict[str, str]] = field(default_factory=dict)
    leaving: dict[str, str] = field(default_factory=dict)
    takes: dict[str, list[str]] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    polls: dict[str, str] = field(default_factory=dict)

    def kept(self, arm: Arm, path: str, tags: dict[str, str], answer: Answer) -> None:
        """A PUT or PATCH was answered."""
        if answer.status < 300:
            if path in self.leaving:
                self.check_polls(arm)
                self._left(path)
            self.there[path] = tags
        self._poll(answer)

    def deleted(self, path: str, answer: Answer) -> None:
        """A DELETE was answered."""
        if answer.status in (200, 204):
            self.there.pop(path, None)
        elif answer.status == 202:
            self.leaving[path] = answer.headers["azure-asyncoperation"]
        self._poll(answer)

    def acted(self, answer: Answer) -> None:
        """A POST was answered."""
        self._poll(answer)

    def _poll(self, answer: Answer) -> None:
        link = answer.headers.get("azure-asyncoperation")
        if link:
            self.polls[link] = "InProgress"

    def check_polls(self, arm: Arm) -> None:
        """Every operation that was ever begun can be asked for, and what has ended stays as it ended."""
        for link, before in self.polls.items():
            answer = arm.get(link)
            assert answer.status == 200, (link, answer.body)
            now = answer.body["status"]
            assert before in ("InProgress", now), f"{link} was {before} and is {now}"
            self.polls[link] = now

    def look(self, arm: Arm) -> None:
        """All is quiet: deletes are done or not. Then everything promised is there, and nothing else."""
        for path in list(self.leaving):
            self._left(path)
        self._look_up(arm)
        for path, tags in self.there.items():
            answer = arm.get(path)
            assert answer.status == 200, f"{path} was promised: {answer.body}"
            assert answer.body.get("tags", {}) == tags, path

    def _left(self, path: str) -> None:
        """A delete has ended."""
        if self.polls[self.leaving.pop(path)] == "Succeeded":
            gone = [path, *self.takes.pop(path, [])] if path != GROUP else list(self.there)
            for one in gone:
                self.there.pop(one, None)
        else:
            self.unsure.update([path, *self.takes.get(path, [])])

    def _look_up(self, arm: Arm) -> None:
        """Learn what became of what nobody answered for."""
        for prefix in self.unsure:
            for path in [*self.there, prefix]:
                answer = arm.get(path) if path.startswith(prefix) else None
                if answer is not None and answer.status == 404:
                    self.there.pop(path, None)
                elif answer is not None:
                    self.there[path] = answer.body.get("tags", {})
        self.unsure.clear()


def nic_body(arm: Arm, subnet: str, address: str, *, nsg: bool) -> dict[str, Any]:
    """A NIC in a subnet of the one network; `address` names its public address, if any."""
    root = f"/subscriptions/{arm.subscription}/"
    configuration: dict[str, Any] = {"subnet": {"id": f"{root}{VNET}/subnets/{subnet}"}}
    if address:
        configuration["publicIPAddress"] = {"id": f"{root}{public(address)}"}
    properties: dict[str, Any] = {"ipConfigurations": [{"name": "one", "properties": configuration}]}
    if nsg:
        properties["networkSecurityGroup"] = {"id": f"{root}{NSG}"}
    return {"location": "local", "properties": properties}


def vm_body(arm: Arm, name: str, nic_name: str, size: str, *, takes: bool, attach: str = "") -> dict[str, Any]:
    """A VM on a NIC, its disk called after it; `takes`: both go with it. `attach`: start from this disk instead."""
    root = f"/subscriptions/{arm.subscription}/"
    body = arm.vm_body(f"{root}{nic(nic_name)}")
    properties = body["properties"]
    properties["hardwareProfile"]["vmSize"] = size
    option = "Delete" if takes else "Detach"
    properties["networkProfile"]["networkInterfaces"][0]["properties"] = {"deleteOption": option}
    properties["storageProfile"]["osDisk"] |= {"name": f"{name}-disk", "deleteOption": option}
    if attach:
        managed = {"id": f"{root}{disk(attach)}"}
        properties["storageProfile"] = {
            "osDisk": {"createOption": "Attach", "managedDisk": managed, "osType": "Linux", "deleteOption": option}
        }
        del properties["osProfile"]
    return body


def fork_body(arm: Arm, name: str, nic_name: str, of: str, *, takes: bool) -> dict[str, Any]:
    """A VM that goes on from a restore point."""
    body = vm_body(arm, name, nic_name, "Standard_B1s", takes=takes)
    body["properties"]["storageProfile"]["imageReference"] = {"id": f"/subscriptions/{arm.subscription}/{point(of)}"}
    del body["properties"]["osProfile"]
    return body


def collection_body(arm: Arm, name: str) -> dict[str, Any]:
    """The restore points of a VM."""
    source = {"source": {"id": f"/subscriptions/{arm.subscription}/{vm(name)}"}}
    return {"location": "local", "properties": source}


def restored_disk_body(source: str) -> dict[str, Any]:
    """A disk made of a disk restore point."""
    creation = {"createOption": "Restore", "sourceResourceId": source}
    return {"location": "local", "properties": {"creationData": creation}}


def vnet_body(*subnets: str) -> dict[str, Any]:
    """The network with these subnets: `a`, `b` …"""
    made = [{"name": name, "properties": {"addressPrefix": f"10.0.{ord(name[0]) - ord('a')}.0/24"}} for name in subnets]
    space = {"addressPrefixes": ["10.0.0.0/16"]}
    return {"location": "local", "properties": {"addressSpace": space, "subnets": made}}


def public_body() -> dict[str, Any]:
    """A public address."""
    properties = {"publicIPAllocationMethod": "Static"}
    return {"location": "local", "sku": {"name": "Standard"}, "properties": properties}


def nsg_body(port: int) -> dict[str, Any]:
    """A group that lets one port in."""
    rule = {
        "priority": 100,
        "direction": "Inbound",
        "access": "Allow",
        "protocol": "Tcp",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": str(port),
    }
    return {"location": "local", "properties": {"securityRules": [{"name": "in", "properties": rule}]}}


def disk_body(size: int) -> dict[str, Any]:
    """An empty disk that a VM may boot from."""
    properties = {"creationData": {"createOption": "Empty"}, "diskSizeGB": size, "osType": "Linux"}
    return {"location": "local", "properties": properties}


def template(name: str) -> dict[str, Any]:
    """A deployment of a public address and of another that needs it."""
    one = {
        "type": "Microsoft.Network/publicIPAddresses",
        "apiVersion": "2024-05-01",
        "name": name,
        **public_body(),
    }
    other = {**one, "name": f"{name}-2", "dependsOn": [name]}
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
    body = {"$schema": schema, "contentVersion": "1.0.0.0", "resources": [one, other]}
    return {"properties": {"mode": "Incremental", "template": body}}


Send = Callable[[Arm], Answer]
