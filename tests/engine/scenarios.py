"""One request for each way that an operation of each kind can go, with the world that it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.api.client import Answer, Arm

VMS = "providers/Microsoft.Compute/virtualMachines"
NETWORK = "providers/Microsoft.Network"
COLLECTION = "resourceGroups/rg/providers/Microsoft.Compute/restorePointCollections/kept"
POINT = f"{COLLECTION}/restorePoints/one"
DISK = "resourceGroups/rg/providers/Microsoft.Compute/disks/data"


@dataclass(frozen=True)
class Scenario:
    """`prepare` makes the world that `request` is sent to; it starts an operation of `kind` that ends as `status`."""

    name: str
    kind: str
    prepare: Callable[[Arm], Any]
    request: Callable[[Arm], Answer]
    status: str = "Succeeded"


def _empty(arm: Arm) -> None:
    arm.group()


def _nic(arm: Arm) -> None:
    arm.nic(arm.group(), "web-nic", public=True)


def vm_body(arm: Arm, **properties: Any) -> dict[str, Any]:
    """A VM whose disk has a name, so that two runs make the same rows."""
    nic = f"/subscriptions/{arm.subscription}/resourceGroups/rg/{NETWORK}/networkInterfaces/web-nic"
    body = arm.vm_body(nic, **properties)
    body["properties"]["storageProfile"]["osDisk"]["name"] = "web-disk"
    body["tags"] = {"Env": "test"}
    return body


def _vm(arm: Arm) -> None:
    _nic(arm)
    arm.done(put_vm(arm))


def put_vm(arm: Arm) -> Answer:
    """The VM `web` that everything is done to."""
    return arm.put(f"resourceGroups/rg/{VMS}/web", vm_body(arm))


def _deallocated(arm: Arm) -> None:
    _vm(arm)
    arm.done(_act("deallocate")(arm))


def _stopped(arm: Arm) -> None:
    _vm(arm)
    arm.done(_act("powerOff")(arm))


def _removable(arm: Arm) -> None:
    """A VM that takes NIC, public address and disk along."""
    _nic(arm)
    body = vm_body(arm)
    body["properties"]["storageProfile"]["osDisk"]["deleteOption"] = "Delete"
    body["properties"]["networkProfile"]["networkInterfaces"][0]["properties"] = {"deleteOption": "Delete"}
    path = f"resourceGroups/rg/{NETWORK}/networkInterfaces/web-nic"
    nic = arm.get(path).body
    nic["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"]["properties"] = {"deleteOption": "Delete"}
    arm.done(arm.put(path, nic))
    arm.done(arm.put(f"resourceGroups/rg/{VMS}/web", body))


def _act(name: str) -> Callable[[Arm], Answer]:
    return lambda arm: arm.post(f"resourceGroups/rg/{VMS}/web/{name}")


def _resize(size: str) -> Callable[[Arm], Answer]:
    body = {"properties": {"hardwareProfile": {"vmSize": size}}}
    return lambda arm: arm.call("PATCH", f"resourceGroups/rg/{VMS}/web", body)


def _delete(path: str) -> Callable[[Arm], Answer]:
    return lambda arm: arm.delete(path)


def _put_disk(size: int) -> Callable[[Arm], Answer]:
    body = {"location": "local", "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": size}}
    return lambda arm: arm.put(DISK, body)


def _disk(arm: Arm) -> None:
    arm.group()
    arm.done(_put_disk(1)(arm))


def _put_subnet(arm: Arm) -> Answer:
    path = f"resourceGroups/rg/{NETWORK}/virtualNetworks/net/subnets/more"
    return arm.put(path, {"properties": {"addressPrefix": "10.0.7.0/24"}})


def _collection(arm: Arm) -> None:
    _vm(arm)
    vm = f"/subscriptions/{arm.subscription}/resourceGroups/rg/{VMS}/web"
    body = {"location": "local", "tags": {"skerry.memory": "on"}, "properties": {"source": {"id": vm}}}
    arm.done(arm.put(COLLECTION, body))


def _put_point(arm: Arm) -> Answer:
    return arm.put(POINT, {})


def _point(arm: Arm) -> None:
    _collection(arm)
    arm.done(_put_point(arm))


def _stopped_point(arm: Arm) -> None:
    _point(arm)
    arm.done(_act("powerOff")(arm))


def _forkable(arm: Arm) -> None:
    _point(arm)
    arm.nic("resourceGroups/rg", "second-nic")


def _fork(arm: Arm) -> Answer:
    nic = f"/subscriptions/{arm.subscription}/resourceGroups/rg/{NETWORK}/networkInterfaces/second-nic"
    image = {"id": f"/subscriptions/{arm.subscription}/{POINT}"}
    body = arm.vm_body(nic)
    del body["properties"]["osProfile"]
    body["properties"]["storageProfile"] = {
        "imageReference": image,
        "osDisk": {"createOption": "FromImage", "name": "second-disk"},
    }
    return arm.put(f"resourceGroups/rg/{VMS}/second", body)


def _restore_disk(arm: Arm) -> Answer:
    source = arm.get(f"{POINT}/diskRestorePoints").body["value"][0]["id"]
    creation = {"createOption": "Restore", "sourceResourceId": source}
    return arm.put(DISK, {"location": "local", "properties": {"creationData": creation}})


def _network_template(arm: Arm) -> list[dict[str, Any]]:
    vnet = {
        "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
        "subnets": [{"name": "default", "properties": {"addressPrefix": "10.0.0.0/24"}}],
    }
    address = {"publicIPAllocationMethod": "Static"}
    subnet = "[resourceId('Microsoft.Network/virtualNetworks/subnets', 'net', 'default')]"
    public = "[resourceId('Microsoft.Network/publicIPAddresses', 'web-nic-ip')]"
    one = {"subnet": {"id": subnet}, "publicIPAddress": {"id": public}}
    return [
        _resource("virtualNetworks", "net", vnet),
        {**_resource("publicIPAddresses", "web-nic-ip", address), "sku": {"name": "Standard"}},
        {
            **_resource("networkInterfaces", "web-nic", {"ipConfigurations": [{"name": "one", "properties": one}]}),
            "dependsOn": ["net", "web-nic-ip"],
        },
    ]


def _resource(kind: str, name: str, properties: dict[str, Any]) -> dict[str, Any]:
    where = {"apiVersion": "2024-05-01", "location": "local"}
    return {"type": f"Microsoft.Network/{kind}", "name": name, "properties": properties, **where}


def deploy(arm: Arm, size: str = "Standard_B1s") -> Answer:
    """A deployment of a network and a VM."""
    machine = vm_body(arm)
    machine["properties"]["hardwareProfile"]["vmSize"] = size
    vm = {"type": "Microsoft.Compute/virtualMachines", "apiVersion": "2024-07-01", "name": "web", **machine}
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {"salt": {"type": "string", "defaultValue": "[newGuid()]"}},
        "resources": [*_network_template(arm), {**vm, "dependsOn": ["web-nic"]}],
        "outputs": {"salt": {"type": "string", "value": "[parameters('salt')]"}},
    }
    path = "resourceGroups/rg/providers/Microsoft.Resources/deployments/all"
    return arm.put(path, {"properties": {"mode": "Incremental", "template": template}})


SCENARIOS = (
    Scenario("vm create", "vm-create", _nic, put_vm),
    Scenario("vm start, stopped", "vm-start", _stopped, _act("start")),
    Scenario("vm start, deallocated", "vm-start", _deallocated, _act("start")),
    Scenario("vm stop", "vm-stop", _vm, _act("powerOff")),
    Scenario("vm restart", "vm-restart", _vm, _act("restart")),
    Scenario("vm resize", "vm-resize", _vm, _resize("Standard_B2s")),
    Scenario("vm resize without room", "vm-resize", _vm, _resize("Standard_E32s_v5"), "Failed"),
    Scenario("vm reapply", "vm-reapply", _vm, _act("reapply")),
    Scenario("vm deallocate", "vm-deallocate", _vm, _act("deallocate")),
    Scenario("vm redeploy", "vm-redeploy", _vm, _act("redeploy")),
    Scenario("vm delete", "vm-delete", _vm, _delete(f"resourceGroups/rg/{VMS}/web")),
    Scenario("vm delete with all", "vm-delete", _removable, _delete(f"resourceGroups/rg/{VMS}/web")),
    Scenario("disk create", "disk-apply", _empty, _put_disk(1)),
    Scenario("disk grow", "disk-apply", _disk, _put_disk(2)),
    Scenario("disk delete", "disk-delete", _disk, _delete(DISK)),
    Scenario("disk restore", "disk-apply", _point, _restore_disk),
    Scenario("restore point", "restorepoint-create", _collection, _put_point),
    Scenario("restore point delete", "restorepoint-delete", _point, _delete(POINT)),
    Scenario("collection delete", "restorepointcollection-delete", _point, _delete(COLLECTION)),
    Scenario("vm restore", "vm-restore", _point, lambda arm: arm.post(f"{POINT}/restore")),
    Scenario("vm restore, stopped", "vm-restore", _stopped_point, lambda arm: arm.post(f"{POINT}/restore")),
    Scenario("vm fork", "vm-create", _forkable, _fork),
    Scenario("subnet", "network-apply", _vm, _put_subnet),
    Scenario("deployment", "deployment-run", _empty, deploy),
    Scenario("deployment that fails", "deployment-run", _empty, lambda arm: deploy(arm, "Standard_E32s_v5"), "Failed"),
    Scenario("group delete", "group-delete", _removable, _delete("resourceGroups/rg")),
    Scenario("group delete, detached", "group-delete", _vm, _delete("resourceGroups/rg")),
)
