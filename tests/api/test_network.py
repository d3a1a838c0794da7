"""Networks over the wire: what az sends, what a running VM makes of a change, lists, and deletes."""

from typing import Any

import pytest
from tests.api.client import Arm

NETWORK = "resourceGroups/rg/providers/Microsoft.Network"
RULE = {
    "name": "open-port-80",
    "properties": {
        "access": "allow",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "80",
        "direction": "inbound",
        "priority": 900,
        "protocol": "*",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
    },
}


@pytest.fixture
def group(arm: Arm) -> str:
    return arm.group()


def make(arm: Arm, path: str, properties: dict[str, Any] | None = None, **envelope: Any) -> dict[str, Any]:
    answer = arm.put(f"{NETWORK}/{path}", {"location": "local", "properties": properties or {}, **envelope})
    arm.done(answer)
    body: dict[str, Any] = answer.body
    return body


def guarded_vm(arm: Arm, group: str) -> str:
    """A running VM on a NIC with the group `nsg`; the NIC's path."""
    make(arm, "networkSecurityGroups/nsg")
    nic = arm.nic(group, "web-nic")
    body = arm.get(nic).body
    body["properties"]["networkSecurityGroup"] = {"id": arm.get(f"{NETWORK}/networkSecurityGroups/nsg").body["id"]}
    arm.done(arm.put(nic, body))
    arm.done(arm.put(f"{group}/providers/Microsoft.Compute/virtualMachines/web", arm.vm_body(nic)))
    return nic


def test_what_az_sends_without_properties_is_taken(arm: Arm, group: str) -> None:
    for path in ("networkSecurityGroups/nsg", "publicIPAddresses/pip"):
        answer = arm.put(f"{NETWORK}/{path}", {"location": "local"})
        assert answer.status == 201
        assert "azure-asyncoperation" not in answer.headers
        assert answer.body["properties"]["provisioningState"] == "Succeeded"


def test_lists_by_group_and_subscription_and_of_children(arm: Arm, group: str) -> None:
    arm.nic(group)
    make(arm, "networkSecurityGroups/nsg")
    for kind in ("virtualNetworks", "networkSecurityGroups", "networkInterfaces"):
        for path in (f"{NETWORK}/{kind}", f"providers/Microsoft.Network/{kind}"):
            assert len(arm.get(path).body["value"]) == 1, path
    children = {
        "virtualNetworks/net/subnets": ["default"],
        "networkSecurityGroups/nsg/securityRules": [],
        "networkInterfaces/nic/ipConfigurations": ["one"],
    }
    for path, names in children.items():
        assert [child["name"] for child in arm.get(f"{NETWORK}/{path}").body["value"]] == names
    assert len(arm.get(f"{NETWORK}/networkSecurityGroups/nsg/defaultSecurityRules").body["value"]) == 6


def test_views_answer(arm: Arm, group: str) -> None:
    arm.nic(group)
    net = f"{NETWORK}/virtualNetworks/net"
    check = arm.get(f"{net}/CheckIPAddressAvailability?ipAddress=10.0.0.4").body
    assert (check["available"], check["availableIPAddresses"][0]) == (False, "10.0.0.5")
    assert arm.get(f"{net}/CheckIPAddressAvailability?ipAddress=10.9.9.9").code == "PrivateIPAddressNotInAnySubnet"
    assert arm.get(f"{net}/CheckIPAddressAvailability").code == "InvalidRequestFormat"
    assert arm.get(f"{net}/usages").body["value"][0]["currentValue"] == 1


def test_a_subnet_that_is_put_again_keeps_its_place(arm: Arm) -> None:
    arm.group()
    subnets = [{"name": n, "properties": {"addressPrefix": f"10.0.{i}.0/24"}} for i, n in enumerate("abc")]
    properties = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": subnets}
    arm.done(arm.put(f"{NETWORK}/virtualNetworks/net", {"location": "local", "properties": properties}))
    arm.done(arm.put(f"{NETWORK}/virtualNetworks/net/subnets/A", subnets[0]))
    names = [subnet["name"] for subnet in arm.get(f"{NETWORK}/virtualNetworks/net/subnets").body["value"]]
    assert names == ["a", "b", "c"]


def test_a_refused_delete_names_the_user_as_it_was_made(arm: Arm) -> None:
    nic = arm.nic(arm.group(), "webNIC")
    group = f"/subscriptions/{arm.subscription}/{NETWORK}/networkSecurityGroups/rules"
    arm.done(arm.put(group, {"location": "local"}))
    body = arm.get(nic).body
    body["properties"]["networkSecurityGroup"] = {"id": group}
    arm.done(arm.put(nic, body))
    assert nic in arm.delete(group).message


def test_tags_change_by_patch(arm: Arm, group: str) -> None:
    arm.nic(group, public=True)
    make(arm, "networkSecurityGroups/nsg")
    for path in (
        "virtualNetworks/net",
        "networkInterfaces/nic",
        "publicIPAddresses/nic-ip",
        "networkSecurityGroups/nsg",
    ):
        answer = arm.call("PATCH", f"{NETWORK}/{path}", {"tags": {"a": "b"}})
        assert (answer.status, answer.body["tags"]) == (200, {"a": "b"})


def test_an_opened_port_reaches_the_vms_host_before_the_operation_ends(arm: Arm, group: str) -> None:
    guarded_vm(arm, group)
    path = f"{NETWORK}/networkSecurityGroups/nsg/securityRules/open-port-80"
    answer = arm.put(path, RULE)
    assert answer.status == 201
    assert answer.headers["azure-asyncoperation"]
    assert answer.body["properties"]["access"] == "Allow"
    arm.done(answer)
    with arm.control.store.read() as work:
        assert work.hosts.applied("local") == work.hosts.revision("local")
        (vnet,) = work.hosts.spec("local").vnets
    assert [rule.name for rule in vnet.nsgs[0].rules][:1] == ["open-port-80"]
    removed = arm.delete(path)
    assert removed.status == 202
    arm.done(removed)
    assert arm.get(path).status == 404


def test_changes_in_quick_succession_all_succeed(arm: Arm, group: str) -> None:
    guarded_vm(arm, group)
    answers = [
        arm.put(
            f"{NETWORK}/networkSecurityGroups/nsg/securityRules/r{number}",
            {"properties": {**RULE["properties"], "priority": 200 + number}},  # type: ignore[dict-item]
        )
        for number in range(5)
    ]
    for answer in answers:
        arm.done(answer)
    assert len(arm.get(f"{NETWORK}/networkSecurityGroups/nsg").body["properties"]["securityRules"]) == 5


def test_a_vms_network_can_only_be_taken_down_after_it(arm: Arm, group: str) -> None:
    nic = guarded_vm(arm, group)
    refusals = {
        nic: "NicInUse",
        f"{NETWORK}/virtualNetworks/net": "InUseSubnetCannotBeDeleted",
        f"{NETWORK}/virtualNetworks/net/subnets/default": "InUseSubnetCannotBeDeleted",
        f"{NETWORK}/networkSecurityGroups/nsg": "InUseNetworkSecurityGroupCannotBeDeleted",
    }
    for path, code in refusals.items():
        answer = arm.delete(path)
        assert (answer.status, answer.code) == (400, code)
    arm.done(arm.delete(f"{group}/providers/Microsoft.Compute/virtualMachines/web"))
    for path in (nic, f"{NETWORK}/virtualNetworks/net", f"{NETWORK}/networkSecurityGroups/nsg"):
        assert arm.delete(path).status == 200
    with arm.control.store.read() as work:
        assert work.hosts.spec("local").vnets == ()


def test_a_deallocated_vm_has_no_port_and_keeps_its_address(arm: Arm, group: str) -> None:
    nic = guarded_vm(arm, group)
    before = arm.get(nic).body["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"]
    vm = f"{group}/providers/Microsoft.Compute/virtualMachines/web"
    arm.done(arm.post(f"{vm}/deallocate"))
    with arm.control.store.read() as work:
        assert work.hosts.spec("local").vnets == ()
    assert "azure-asyncoperation" not in arm.put(f"{NETWORK}/networkSecurityGroups/nsg", {"location": "local"}).headers
    arm.done(arm.post(f"{vm}/start"))
    assert arm.get(nic).body["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] == before


def test_a_group_takes_its_networks_along(arm: Arm, group: str) -> None:
    arm.nic(group, public=True)
    make(arm, "networkSecurityGroups/nsg")
    arm.done(arm.delete(group))
    assert arm.get("providers/Microsoft.Network/virtualNetworks").body["value"] == []
    with arm.control.store.read() as work:
        assert work.resources.list() == []


def test_a_group_of_another_location_is_not_taken(arm: Arm, group: str) -> None:
    make(arm, "networkSecurityGroups/nsg", location="eastus")
    nic = arm.nic(group)
    body = arm.get(nic).body
    body["properties"]["networkSecurityGroup"] = {"id": arm.get(f"{NETWORK}/networkSecurityGroups/nsg").body["id"]}
    assert arm.put(nic, body).code == "InvalidResourceReference"
