"""Deployments: what az sends runs, in dependency order; what is wrong becomes the deployment's error."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.api.client import Arm

from skerry.store.tables import metadata

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
DEPLOYMENTS = "resourcegroups/rg/providers/Microsoft.Resources/deployments"


def template(*resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A template of these resources."""
    return {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": list(resources), **more}


def request(content: dict[str, Any], parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body of a deployment's PUT."""
    return {"properties": {"mode": "Incremental", "template": content, "parameters": parameters or {}}}


def vnet(name: str, **more: Any) -> dict[str, Any]:
    """A VNet with one subnet."""
    properties = {
        "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
        "subnets": [{"name": "default", "properties": {"addressPrefix": "10.0.0.0/24"}}],
    }
    return {
        "type": "Microsoft.Network/virtualNetworks",
        "apiVersion": "2015-06-15",
        "name": name,
        "location": "[resourceGroup().location]",
        "properties": properties,
        **more,
    }


def failed(arm: Arm, body: Any) -> dict[str, Any]:
    """The error of a deployment that must fail after a PUT that was taken."""
    answer = arm.put(f"{DEPLOYMENTS}/dep", body)
    assert answer.status == 201, answer.body
    ended = arm.wait(answer)
    assert ended.body["status"] == "Failed"
    shown = arm.get(f"{DEPLOYMENTS}/dep").body["properties"]
    assert shown["provisioningState"] == "Failed"
    assert shown["error"] == ended.body["error"]
    found: dict[str, Any] = ended.body["error"]
    return found


def az_vm_template(arm: Arm) -> dict[str, Any]:
    """What `az vm create` sends, password form."""
    network = f"/subscriptions/{arm.subscription}/resourceGroups/rg/providers/Microsoft.Network"
    nic = {
        "apiVersion": "2015-06-15",
        "type": "Microsoft.Network/networkInterfaces",
        "name": "[concat('vm', copyIndex(), 'Nic')]",
        "location": "local",
        "copy": {"name": "nics", "count": 2, "mode": "parallel"},
        "dependsOn": ["Microsoft.Network/virtualNetworks/vnet", "Microsoft.Network/publicIpAddresses/ip0"],
        "properties": {
            "ipConfigurations": [
                {
                    "name": "one",
                    "properties": {
                        "privateIPAllocationMethod": "Dynamic",
                        "subnet": {"id": f"{network}/virtualNetworks/vnet/subnets/default"},
                    },
                }
            ]
        },
    }
    address = {
        "apiVersion": "2022-01-01",
        "type": "Microsoft.Network/publicIPAddresses",
        "name": "ip0",
        "location": "local",
        "sku": {"name": "Standard"},
        "properties": {"publicIPAllocationMethod": "Static"},
    }
    vm = {
        "apiVersion": "2026-04-01",
        "type": "Microsoft.Compute/virtualMachines",
        "name": "[concat('vm', copyIndex())]",
        "location": "local",
        "copy": {"name": "vms", "count": 2},
        "dependsOn": ["nics"],
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_B1s"},
            "networkProfile": {
                "networkInterfaces": [
                    {
                        "id": f"[concat('{network}/networkInterfaces/vm', copyIndex(), 'Nic')]",
                        "properties": {"deleteOption": None},
                    }
                ]
            },
            "storageProfile": {
                "osDisk": {"createOption": "fromImage", "name": None, "managedDisk": {"storageAccountType": None}},
                "imageReference": {
                    "publisher": "Debian",
                    "offer": "debian-12",
                    "sku": "12-gen2",
                    "version": "latest",
                },
            },
            "osProfile": {
                "computerName": "[concat('vm', copyIndex())]",
                "adminUsername": "dev",
                "adminPassword": "[parameters('adminPassword')]",
            },
        },
    }
    parameters = {"adminPassword": {"type": "securestring"}}
    return template(vm, nic, address, vnet("vnet"), parameters=parameters)


def test_what_az_sends_boots_vms_and_shows_no_password(arm: Arm) -> None:
    arm.group()
    body = request(az_vm_template(arm), {"adminPassword": {"value": "Plant3d-Secret!"}})
    answer = arm.put(f"{DEPLOYMENTS}/dep", body)
    arm.done(answer)
    for name in ("vm0", "vm1"):
        assert arm.power(f"resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/{name}") == "running"
    shown = arm.get(f"{DEPLOYMENTS}/dep").body
    operations = arm.get("resourcegroups/rg/deployments/dep/operations").body["value"]
    assert len(operations) == 6
    assert {item["properties"]["provisioningState"] for item in operations} == {"Succeeded"}
    assert len(shown["properties"]["outputResources"]) == 6
    assert shown["properties"]["parameters"] == {"adminPassword": {"type": "SecureString"}}
    assert "Plant3d" not in json.dumps([answer.body, shown, operations])


def test_the_database_never_holds_the_password(arm: Arm, database: str | Path) -> None:
    arm.group()
    body = request(az_vm_template(arm), {"adminPassword": {"value": "Plant3d-Secret!"}})
    arm.done(arm.put(f"{DEPLOYMENTS}/dep", body))
    with arm.control.store.read() as work:
        tables = [work.connection.execute(select(table)).all() for table in metadata.sorted_tables]
    assert b"Plant3d" not in repr(tables).encode()
    if isinstance(database, Path):  # nor what was there for a moment
        for suffix in ("", "-wal"):
            assert b"Plant3d" not in database.with_name(database.name + suffix).read_bytes()


def test_json_as_az_sends_it_is_read(arm: Arm) -> None:
    arm.group()
    content = json.dumps(template(vnet("net")))[1:]
    body = '{"properties": {"mode": "Incremental", template: {// mine\n' + content + ', "parameters": {}}}'
    arm.done(arm.put(f"{DEPLOYMENTS}/dep", body.encode()))
    assert arm.get("resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/net").status == 200


def test_outputs_and_references_to_what_was_made(arm: Arm) -> None:
    arm.group()
    outputs = {
        "prefix": {"type": "string", "value": "[reference('net').addressSpace.addressPrefixes[0]]"},
        "id": {"type": "string", "value": "[resourceId('Microsoft.Network/virtualNetworks', 'net')]"},
    }
    arm.done(arm.put(f"{DEPLOYMENTS}/dep", request(template(vnet("net"), outputs=outputs))))
    found = arm.get(f"{DEPLOYMENTS}/dep").body["properties"]["outputs"]
    assert found["prefix"]["value"] == "10.0.0.0/16"
    assert found["id"]["value"].endswith("/virtualNetworks/net")


@pytest.mark.parametrize(
    ("body", "code", "names"),
    [
        (b'{"properties": {"template": {', "InvalidRequestContent", ""),
        ({"properties": {"mode": "Incremental"}}, "InvalidTemplate", "template"),
        ({"properties": {"mode": "Complete", "template": {}}}, "InvalidDeploymentMode", "Complete"),
        ({"properties": {"templateLink": {"uri": "https://x"}}}, "InvalidRequestContent", "templatelink"),
        (request(template(vnet("[frobnicate('x')]"))), "InvalidTemplate", "frobnicate"),
        (request(template(vnet("net", type="Microsoft.Sql/servers"))), "InvalidTemplateDeployment", "Microsoft.Sql"),
        (request(template(vnet("net", dependsOn=["[variables('none')]"]))), "InvalidTemplate", "none"),
    ],
)
def test_what_is_wrong_with_a_template_becomes_the_deployments_error(
    arm: Arm, body: Any, code: str, names: str
) -> None:
    arm.group()
    error = failed(arm, body)
    assert error["code"] == code, error
    assert names in error["message"]
    assert arm.get("resources").body["value"] == []


def test_a_resource_that_is_refused_fails_the_deployment_and_keeps_the_others(arm: Arm) -> None:
    arm.group()
    bad = vnet("bad")
    bad["properties"] = {"addressSpace": {"addressPrefixes": ["nonsense"]}}
    error = failed(arm, request(template(vnet("good"), bad, vnet("after", dependsOn=["bad"]))))
    assert error["code"] == "DeploymentFailed"
    assert error["details"][0]["code"].startswith("Invalid")
    assert [item["name"] for item in arm.get("resources").body["value"]] == ["good"]
    states = {
        item["properties"]["targetResource"]["resourceName"]: item["properties"]["provisioningState"]
        for item in arm.get(f"{DEPLOYMENTS}/dep/operations").body["value"]
    }
    assert states == {"good": "Succeeded", "bad": "Failed"}


def test_validate_says_what_it_would_deploy_and_deploys_nothing(arm: Arm) -> None:
    arm.group()
    answer = arm.post(f"{DEPLOYMENTS}/dep/validate", request(template(vnet("net"))))
    assert (answer.status, answer.body["properties"]["provisioningState"]) == (200, "Succeeded")
    assert len(answer.body["properties"]["validatedResources"]) == 1
    assert arm.get("resources").body["value"] == []
    bad = arm.post(f"{DEPLOYMENTS}/dep/validate", request(template(vnet("[nope()]"))))
    assert (bad.status, bad.code) == (400, "InvalidTemplate")


def test_deploying_again_changes_nothing_and_forgetting_keeps_the_resources(arm: Arm) -> None:
    arm.group()
    for _ in range(2):
        arm.done(arm.put(f"{DEPLOYMENTS}/dep", request(template(vnet("net")))))
    assert len(arm.get(f"{DEPLOYMENTS}").body["value"]) == 1
    assert arm.delete(f"{DEPLOYMENTS}/dep").status == 204
    assert arm.get(f"{DEPLOYMENTS}/dep").status == 404
    assert arm.get("resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/net").status == 200


def test_what_if_is_refused_so_that_az_can_print_it(arm: Arm) -> None:
    path = f"{arm.group()}/providers/Microsoft.Resources/deployments/main"
    answer = arm.post(f"{path}/whatIf", b'{"properties": {"mode":"Incremental", template:{}}}')
    assert (answer.status, answer.body["status"], answer.body["error"]["code"]) == (200, "Failed", "NotSupported")


def test_a_deployment_at_a_subscription_is_refused(arm: Arm) -> None:
    answer = arm.put("providers/Microsoft.Resources/deployments/main", {"location": "local", "properties": {}})
    assert (answer.status, answer.code) == (404, "InvalidRequestUri")
    assert "in resource groups only" in answer.message


def test_a_nested_deployment_runs(arm: Arm) -> None:
    arm.group()
    inner = {
        "type": "Microsoft.Resources/deployments",
        "apiVersion": "2021-04-01",
        "name": "inner",
        "properties": {"mode": "Incremental", "template": template(vnet("net"))},
    }
    arm.done(arm.put(f"{DEPLOYMENTS}/dep", request(template(inner))))
    assert arm.get(f"{DEPLOYMENTS}/inner").body["properties"]["provisioningState"] == "Succeeded"
    assert arm.get("resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/net").status == 200
