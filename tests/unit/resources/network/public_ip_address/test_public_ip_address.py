"""Public IP addresses."""

from typing import Any

import pytest
from tests.unit.resources.network.net import Json, Net

STANDARD: Json = {"sku": {"name": "Standard"}}
STATIC = {"publicIPAllocationMethod": "Static"}


def test_what_az_sends_gets_a_loopback_address(net: Net) -> None:
    body = net.put("publicIPAddresses/p", {"idleTimeoutInMinutes": 4, **STATIC}, **STANDARD)
    properties = body["properties"]
    assert properties.pop("resourceGuid")
    assert body["sku"] == {"name": "Standard", "tier": "Regional"}
    assert properties == {
        "ipAddress": "127.104.156.1",
        "publicIPAllocationMethod": "Static",
        "publicIPAddressVersion": "IPv4",
        "idleTimeoutInMinutes": 4,
        "ipTags": [],
        "provisioningState": "Succeeded",
    }


def test_without_a_sku_it_is_basic_and_dynamic(net: Net) -> None:
    body = net.put("publicIPAddresses/p")
    assert body["sku"]["name"] == "Basic"
    assert body["properties"]["publicIPAllocationMethod"] == "Dynamic"
    assert body["properties"]["ipAddress"] == "127.104.156.1"


def test_an_address_belongs_to_one_resource_until_that_is_deleted(net: Net) -> None:
    addresses = [net.put(f"publicIPAddresses/p{n}")["properties"]["ipAddress"] for n in range(3)]
    assert addresses == ["127.104.156.1", "127.104.156.2", "127.104.156.3"]
    assert net.delete("publicIPAddresses/p1") == 200
    assert net.put("publicIPAddresses/p0")["properties"]["ipAddress"] == "127.104.156.1"
    assert net.put("publicIPAddresses/p3")["properties"]["ipAddress"] == "127.104.156.2"


def test_put_back_changes_nothing(net: Net) -> None:
    net.vnet()
    net.put("publicIPAddresses/p", STATIC, **STANDARD, zones=["1"], tags={"a": "b"})
    net.nic(public="p")
    before, after = net.put_back("publicIPAddresses/p")
    assert before == after


def test_an_update_keeps_what_it_leaves_out(net: Net) -> None:
    net.put("publicIPAddresses/p", {**STATIC, "idleTimeoutInMinutes": 9}, **STANDARD, zones=["2"])
    body = net.put("publicIPAddresses/p", tags={"a": "b"})
    assert (body["sku"]["name"], body["zones"], body["tags"]) == ("Standard", ["2"], {"a": "b"})
    assert body["properties"]["publicIPAllocationMethod"] == "Static"
    assert body["properties"]["idleTimeoutInMinutes"] == 9


@pytest.mark.parametrize(
    ("properties", "envelope", "code"),
    [
        ({"publicIPAllocationMethod": "Dynamic"}, STANDARD, "StandardSkuPublicIPAddressesMustBeStatic"),
        ({}, STANDARD, "StandardSkuPublicIPAddressesMustBeStatic"),
        ({"publicIPAllocationMethod": "Sometimes"}, {}, "InvalidRequestFormat"),
        ({"publicIPAddressVersion": "IPv6"}, {}, "InvalidRequestFormat"),
        ({"idleTimeoutInMinutes": 3}, {}, "InvalidRequestFormat"),
        ({"idleTimeoutInMinutes": 31}, {}, "InvalidRequestFormat"),
        ({"dnsSettings": {"domainNameLabel": "web"}}, {}, "InvalidRequestContent"),
        ({"ipTags": [{"ipTagType": "x"}]}, {}, "InvalidRequestContent"),
        ({"ddosSettings": {"protectionMode": "Enabled"}}, {}, "InvalidRequestFormat"),
        ({"publicIPPrefix": {"id": "/x"}}, {}, "InvalidRequestContent"),
        ({}, {"sku": {"name": "Premium"}}, "InvalidRequestFormat"),
        (STATIC, {"sku": {"name": "Standard", "tier": "Global"}}, "InvalidRequestFormat"),
        ({}, {"zones": ["4"]}, "InvalidRequestFormat"),
        ({}, {"extendedLocation": {"name": "edge"}}, "InvalidRequestContent"),
    ],
)
def test_what_cannot_be_is_refused(net: Net, properties: Json, envelope: dict[str, Any], code: str) -> None:
    refusal = net.refused("publicIPAddresses/p", properties, **envelope)
    assert (refusal.status, refusal.code) == (400, code)


def test_sku_and_zones_do_not_change(net: Net) -> None:
    net.put("publicIPAddresses/p", STATIC, zones=["1"])
    assert net.refused("publicIPAddresses/p", STATIC, **STANDARD).code == "PropertyChangeNotAllowed"
    assert net.refused("publicIPAddresses/p", zones=["2"]).code == "ResourceAvailabilityZonesCannotBeModified"


def test_it_shows_its_user_and_stays_while_it_has_one(net: Net) -> None:
    net.vnet()
    net.put("publicIPAddresses/p")
    net.nic(public="p")
    configuration = net.id("networkInterfaces/n/ipConfigurations/one")
    assert net.get("publicIPAddresses/p")["properties"]["ipConfiguration"] == {"id": configuration}
    refusal = net.not_deleted("publicIPAddresses/p")
    assert (refusal.status, refusal.code) == (400, "PublicIPAddressCannotBeDeleted")
    assert configuration in refusal.message
    net.put("networkInterfaces/n", net.configuration())
    assert "ipConfiguration" not in net.get("publicIPAddresses/p")["properties"]
    assert net.delete("publicIPAddresses/p") == 200
