"""Network interfaces."""

import re
from typing import Any

import pytest
from tests.unit.resources.network.net import Json, Net


@pytest.fixture(autouse=True)
def vnet(net: Net) -> None:
    """A small subnet `s` with room for three NICs, and `t`."""
    net.vnet(s="10.0.0.0/29", t="10.0.1.0/24")


def static(address: str | None) -> Json:
    return {"privateIPAddress": address, "privateIPAllocationMethod": "Static"}


def test_a_nic_shows_what_azure_shows(net: Net) -> None:
    body = net.nic()
    properties = body["properties"]
    assert body["kind"] == "Regular"
    assert "macAddress" not in properties
    assert properties["enableIPForwarding"] is False
    assert properties["enableAcceleratedNetworking"] is False
    assert properties["nicType"] == "Standard"
    assert properties["dnsSettings"]["dnsServers"] == []
    assert properties["dnsSettings"]["internalDomainNameSuffix"].endswith(".internal.skerry")
    assert "virtualMachine" not in properties
    assert properties["ipConfigurations"] == [
        {
            "id": net.id("networkInterfaces/n/ipConfigurations/one"),
            "name": "one",
            "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
            "etag": body["etag"],
            "properties": {
                "subnet": {"id": net.id("virtualNetworks/v/subnets/s")},
                "privateIPAddress": "10.0.0.4",
                "privateIPAllocationMethod": "Dynamic",
                "privateIPAddressVersion": "IPv4",
                "primary": True,
                "provisioningState": "Succeeded",
            },
        }
    ]


def test_dynamic_addresses_are_the_lowest_free_ones_until_the_subnet_is_full(net: Net) -> None:
    for name in "abc":
        net.nic(name)
    assert [net.address(name) for name in "abc"] == ["10.0.0.4", "10.0.0.5", "10.0.0.6"]
    refusal = net.refused("networkInterfaces/d", net.configuration())
    assert (refusal.status, refusal.code) == (400, "SubnetIsFull")
    net.delete("networkInterfaces/b")
    net.nic("d")
    assert net.address("d") == "10.0.0.5"


def test_an_address_and_a_mac_stay_over_updates(net: Net) -> None:
    net.nic("a")
    net.nic()
    net.place()
    mac = net.get("networkInterfaces/n")["properties"]["macAddress"]
    assert re.fullmatch(r"00-0D-3A(-[0-9A-F]{2}){3}", mac)
    net.unplace()
    net.delete("networkInterfaces/a")
    assert net.put("networkInterfaces/n", net.configuration(), tags={"a": "b"})["properties"]["macAddress"] == mac
    assert net.address() == "10.0.0.5"
    net.put("networkInterfaces/n", net.configuration(privateIPAllocationMethod="Static"))
    assert net.address() == "10.0.0.5"


def test_macs_differ(net: Net) -> None:
    for name in "abc":  # all of one VM
        net.nic(name)
        net.place(name)
    macs = {net.get(f"networkInterfaces/{name}")["properties"]["macAddress"] for name in "abc"}
    assert len(macs) == 3


def test_put_back_changes_nothing(net: Net) -> None:
    net.put("networkSecurityGroups/g")
    net.put("publicIPAddresses/p")
    properties = net.configuration(public="p", **static("10.0.0.6"))
    inner = properties["ipConfigurations"][0]["properties"]
    inner["publicIPAddress"]["properties"] = {"deleteOption": "delete"}
    net.put("networkInterfaces/n", {**properties, "networkSecurityGroup": {"id": net.id("networkSecurityGroups/g")}})
    net.attach()
    before, after = net.put_back("networkInterfaces/n")
    assert before == after
    shown = after["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"]
    assert shown == {"id": net.id("publicIPAddresses/p"), "properties": {"deleteOption": "Delete"}}


def test_whole_resources_may_stand_where_references_do(net: Net) -> None:
    group, public = net.put("networkSecurityGroups/g"), net.put("publicIPAddresses/p")
    properties = net.configuration()
    inner = properties["ipConfigurations"][0]["properties"]
    inner["subnet"], inner["publicIPAddress"] = net.get("virtualNetworks/v/subnets/s"), public
    shown = net.put("networkInterfaces/n", {**properties, "networkSecurityGroup": group})["properties"]
    assert shown["networkSecurityGroup"] == {"id": group["id"]}
    inner = shown["ipConfigurations"][0]["properties"]
    assert inner["subnet"] == {"id": net.id("virtualNetworks/v/subnets/s")}
    assert inner["publicIPAddress"] == {"id": public["id"]}


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        (static("10.0.1.4"), "PrivateIPAddressNotInSubnet"),
        (static("10.0.0.3"), "PrivateIPAddressInReservedRange"),
        (static("10.0.0.7"), "PrivateIPAddressInReservedRange"),
        (static("10.0.0.4"), "PrivateIPAddressInUse"),
        (static("ten"), "InvalidIPAddressFormat"),
        (static(None), "PrivateIPAddressMissing"),
        ({"privateIPAllocationMethod": "Sometimes"}, "InvalidRequestFormat"),
        ({"privateIPAddressVersion": "IPv6"}, "InvalidRequestFormat"),
        ({"loadBalancerBackendAddressPools": [{"id": "/x"}]}, "InvalidRequestContent"),
        ({"publicIPAddress": {"id": "nonsense"}}, "LinkedInvalidPropertyId"),
    ],
)
def test_an_ip_configuration_that_cannot_be_is_refused(net: Net, properties: Json, code: str) -> None:
    net.nic("first")
    refusal = net.refused("networkInterfaces/n", net.configuration(**properties))
    assert (refusal.status, refusal.code) == (400, code)


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"enableIPForwarding": True}, "NotSupported"),
        ({"enableAcceleratedNetworking": True}, "NotSupported"),
        ({"dnsSettings": {"dnsServers": ["10.0.0.4"]}}, "NotSupported"),
        ({"dnsSettings": {"internalDnsNameLabel": "web"}}, "InvalidRequestContent"),
        ({"nicType": "Elastic"}, "InvalidRequestFormat"),
        ({"auxiliaryMode": "Floating"}, "InvalidRequestFormat"),
        ({"ipConfigurations": []}, "IpConfigurationsMissing"),
        ({"ipConfigurations": [{"name": "one", "properties": {}}]}, "SubnetMissing"),
        ({"ipConfigurations": [{"properties": {"subnet": {"id": "/x"}}}]}, "InvalidResourceName"),
    ],
)
def test_what_is_not_supported_is_refused(net: Net, extra: Json, code: str) -> None:
    refusal = net.refused("networkInterfaces/n", {**net.configuration(), **extra})
    assert (refusal.status, refusal.code) == (400, code)


def test_a_second_ip_configuration_is_refused(net: Net) -> None:
    properties = net.configuration()
    properties["ipConfigurations"].append({**properties["ipConfigurations"][0], "name": "two"})
    assert net.refused("networkInterfaces/n", properties).code == "NotSupported"


@pytest.mark.parametrize("subnet", ["v/none", "none/s"])
def test_a_subnet_that_is_not_there_is_refused(net: Net, subnet: str) -> None:
    assert net.refused("networkInterfaces/n", net.configuration(subnet)).code == "InvalidResourceReference"


def test_a_public_address_serves_one_ip_configuration(net: Net) -> None:
    net.put("publicIPAddresses/p")
    net.nic("a", public="p")
    refusal = net.refused("networkInterfaces/n", net.configuration(public="p"))
    assert (refusal.status, refusal.code) == (400, "PublicIPAddressInUse")
    assert net.id("networkInterfaces/a/ipConfigurations/one") in refusal.message


def test_a_nic_changes_its_subnet_but_not_its_vnet(net: Net) -> None:
    net.nic()
    net.put("networkInterfaces/n", net.configuration("v/t"))
    assert net.address() == "10.0.1.4"
    assert net.delete("virtualNetworks/v/subnets/s") == 200
    net.vnet("other")
    assert net.refused("networkInterfaces/n", net.configuration("other/s")).code == "PropertyChangeNotAllowed"


def test_a_nic_shows_its_vm_and_stays_while_it_has_one(net: Net) -> None:
    net.nic()
    vm = net.attach()
    shown = net.get("networkInterfaces/n")["properties"]
    assert (shown["virtualMachine"], shown["primary"]) == ({"id": vm}, True)
    refusal = net.not_deleted("networkInterfaces/n")
    assert (refusal.status, refusal.code) == (400, "NicInUse")


def test_ip_configurations_can_be_read_by_themselves(net: Net) -> None:
    net.nic()
    path = "networkInterfaces/n/ipConfigurations/one"
    assert net.get(path)["properties"]["privateIPAddress"] == "10.0.0.4"
    assert net.refused(path, {}).code == "ReadOnlyResource"


@pytest.mark.parametrize("state", [{}, {"provisioningState": "Failed", "macAddress": "nonsense", "primary": False}])
def test_read_only_members_are_overwritten(net: Net, state: dict[str, Any]) -> None:
    shown = net.put("networkInterfaces/n", {**net.configuration(), **state})["properties"]
    assert shown["provisioningState"] == "Succeeded"
    assert "macAddress" not in shown
