"""A VM by way of the SDKs, as a program would make it. Prints its addresses as JSON. Run with the SDKs' Python."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from azure.identity import ClientSecretCredential  # type: ignore[import-not-found]
from azure.mgmt.compute import ComputeManagementClient  # type: ignore[import-not-found]
from azure.mgmt.network import NetworkManagementClient  # type: ignore[import-not-found]
from azure.mgmt.resource.resources import ResourceManagementClient  # type: ignore[import-not-found]

IMAGE = {"publisher": "Debian", "offer": "debian-12", "sku": "12-gen2", "version": "latest"}


def main(key: str) -> None:
    """Make group, network and VM; list, resize down to tags, power."""
    base = os.environ["AZURE_AUTHORITY_HOST"]
    credential = ClientSecretCredential(
        "adfs",
        os.environ["AZURE_CLIENT_ID"],
        os.environ["AZURE_CLIENT_SECRET"],
        authority=base,
        disable_instance_discovery=True,
    )
    made = {"base_url": base, "credential_scopes": [f"{base}/.default"]}
    subscription = os.environ["AZURE_SUBSCRIPTION_ID"]
    compute = ComputeManagementClient(credential, subscription, **made)
    network = NetworkManagementClient(credential, subscription, **made)
    resource = ResourceManagementClient(credential, subscription, **made)
    resource.resource_groups.create_or_update("sdk", {"location": "eastus"})
    nic, address = _network(network)
    vm = compute.virtual_machines.begin_create_or_update("sdk", "sdk", _vm(nic.id, key)).result()
    assert vm.provisioning_state == "Succeeded", vm
    assert [found.name for found in compute.virtual_machines.list("sdk")] == ["sdk"]
    shown = {found.name: found for found in compute.virtual_machines.list_all(status_only="true")}
    assert shown["sdk"].instance_view.statuses[1].code == "PowerState/running"
    view = compute.virtual_machines.instance_view("sdk", "sdk")
    assert [status.code for status in view.statuses][1] == "PowerState/running"
    private = nic.ip_configurations[0].private_ip_address
    print(json.dumps({"private": private, "public": address.ip_address}))


def _network(network: Any) -> tuple[Any, Any]:
    vnet = {
        "location": "eastus",
        "properties": {
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "subnets": [{"name": "one", "properties": {"addressPrefix": "10.0.0.0/24"}}],
        },
    }
    subnet = network.virtual_networks.begin_create_or_update("sdk", "net", vnet).result().subnets[0]
    rule = {
        "name": "ssh",
        "properties": {
            "protocol": "Tcp",
            "sourcePortRange": "*",
            "destinationPortRange": "22",
            "sourceAddressPrefix": "*",
            "destinationAddressPrefix": "*",
            "access": "Allow",
            "priority": 100,
            "direction": "Inbound",
        },
    }
    body = {"location": "eastus", "properties": {"securityRules": [rule]}}
    nsg = network.network_security_groups.begin_create_or_update("sdk", "nsg", body).result()
    body = {"location": "eastus", "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}}
    address = network.public_ip_addresses.begin_create_or_update("sdk", "ip", body).result()
    configuration = {
        "name": "one",
        "properties": {"subnet": {"id": subnet.id}, "publicIPAddress": {"id": address.id}},
    }
    body = {
        "location": "eastus",
        "properties": {"ipConfigurations": [configuration], "networkSecurityGroup": {"id": nsg.id}},
    }
    return network.network_interfaces.begin_create_or_update("sdk", "nic", body).result(), address


def _vm(nic: str, key: str) -> dict[str, Any]:
    ssh = {"publicKeys": [{"path": "/home/sdk/.ssh/authorized_keys", "keyData": key}]}
    return {
        "location": "eastus",
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_B1s"},
            "storageProfile": {"imageReference": IMAGE, "osDisk": {"createOption": "FromImage"}},
            "osProfile": {
                "computerName": "sdk",
                "adminUsername": "sdk",
                "linuxConfiguration": {"disablePasswordAuthentication": True, "ssh": ssh},
            },
            "networkProfile": {"networkInterfaces": [{"id": nic}]},
        },
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text().strip())
