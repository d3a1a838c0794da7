"""Virtual networks and their subnets."""

from typing import Any

import pytest
from tests.unit.resources.network.net import Json, Net

SPACE = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}


def subnet(prefix: str, name: str = "s", **properties: Any) -> Json:
    return {"name": name, "properties": {"addressPrefix": prefix, **properties}}


def test_a_vnet_shows_what_azure_shows(net: Net) -> None:
    body = net.vnet()
    properties = body["properties"]
    assert properties["provisioningState"] == "Succeeded"
    assert properties["enableDdosProtection"] is False
    assert properties["virtualNetworkPeerings"] == []
    assert len(properties["resourceGuid"]) == 36
    (only,) = properties["subnets"]
    assert only == {
        "id": net.id("virtualNetworks/v/subnets/s"),
        "name": "s",
        "type": "Microsoft.Network/virtualNetworks/subnets",
        "etag": body["etag"],
        "properties": {
            "addressPrefix": "10.0.0.0/24",
            "delegations": [],
            "privateEndpointNetworkPolicies": "Disabled",
            "privateLinkServiceNetworkPolicies": "Enabled",
            "provisioningState": "Succeeded",
        },
    }


def test_the_body_that_az_sends_is_taken(net: Net) -> None:
    body = net.put(
        "virtualNetworks/v", {**SPACE, "enableDdosProtection": False, "enableVmProtection": False, "subnets": []}
    )
    assert body["properties"]["subnets"] == []


def test_put_back_changes_nothing(net: Net) -> None:
    net.put("networkSecurityGroups/g")
    group = {"id": net.id("networkSecurityGroups/g")}
    dns = {"dhcpOptions": {"dnsServers": ["10.0.0.4"]}}
    children = [
        subnet("10.0.0.0/24", networkSecurityGroup=group),
        {"name": "t", "properties": {"addressPrefixes": ["10.0.1.0/24"]}},
    ]
    net.put("virtualNetworks/v", {**SPACE, **dns, "subnets": children}, tags={"a": "b"})
    net.nic()
    before, after = net.put_back("virtualNetworks/v")
    assert before == after
    before, after = net.put_back("virtualNetworks/v/subnets/s")
    assert before == after


def test_a_subnet_is_put_and_deleted_by_itself(net: Net) -> None:
    net.vnet()
    result = net.put_result("virtualNetworks/v/subnets/two", {"addressPrefix": "10.0.1.0/24"})
    assert result.created
    assert [s["name"] for s in net.get("virtualNetworks/v")["properties"]["subnets"]] == ["s", "two"]
    assert net.get("virtualNetworks/v/subnets/TWO")["name"] == "two"
    assert net.delete("virtualNetworks/v/subnets/two") == 200
    assert net.delete("virtualNetworks/v/subnets/two") == 204


def test_a_put_without_subnets_keeps_them_and_an_empty_list_removes_them(net: Net) -> None:
    net.vnet()
    assert len(net.put("virtualNetworks/v", SPACE)["properties"]["subnets"]) == 1
    assert net.put("virtualNetworks/v", {**SPACE, "subnets": []})["properties"]["subnets"] == []


def test_a_tag_changes_by_patch(net: Net) -> None:
    net.vnet()
    body = net.patch("virtualNetworks/v", {"tags": {"a": "b"}})
    assert body["tags"] == {"a": "b"}
    assert len(body["properties"]["subnets"]) == 1


@pytest.mark.parametrize(
    ("prefixes", "code"),
    [
        (["10.0.0.1/16"], "InvalidCIDRNotation"),
        (["10.0.0.0"], "InvalidAddressPrefixFormat"),
        (["10.0.0.0/255.255.0.0"], "InvalidAddressPrefixFormat"),
        (["10.0.0.0/33"], "InvalidAddressPrefixFormat"),
        (["nonsense"], "InvalidAddressPrefixFormat"),
        (["fd00::/48"], "NotSupported"),
        (["10.0.0.0/30"], "NetcfgInvalidVirtualNetworkSite"),
        (["12.0.0.0/7"], "NetcfgInvalidVirtualNetworkSite"),
        (["10.0.0.0/16", "10.0.1.0/24"], "NetcfgInvalidVirtualNetworkSite"),
        (["127.0.0.0/16"], "NetcfgInvalidVirtualNetworkSite"),
        (["168.63.0.0/16"], "NetcfgInvalidVirtualNetworkSite"),
        ([], "InvalidRequestFormat"),
    ],
)
def test_an_address_space_that_cannot_be_is_refused(net: Net, prefixes: list[str], code: str) -> None:
    refusal = net.refused("virtualNetworks/v", {"addressSpace": {"addressPrefixes": prefixes}})
    assert (refusal.status, refusal.code) == (400, code)


@pytest.mark.parametrize(
    ("subnets", "code"),
    [
        ([subnet("10.1.0.0/24")], "NetcfgSubnetRangeOutsideVnet"),
        ([subnet("10.0.0.0/15")], "NetcfgSubnetRangeOutsideVnet"),
        ([subnet("10.0.0.0/30")], "NetcfgInvalidSubnet"),
        ([subnet("10.0.0.0/24"), subnet("10.0.0.128/25", "t")], "NetcfgSubnetRangesOverlap"),
        ([subnet("10.0.0.9/24")], "InvalidCIDRNotation"),
        ([subnet("10.0.0.0/24"), subnet("10.0.1.0/24", "S")], "InvalidRequestFormat"),
        ([{"name": "s", "properties": {}}], "InvalidRequestFormat"),
        ([{"name": "s", "properties": {"addressPrefixes": ["10.0.0.0/24", "10.0.1.0/24"]}}], "NotSupported"),
        ([subnet("10.0.0.0/24", addressPrefixes=["10.0.1.0/24"])], "InvalidRequestFormat"),
        ([subnet("10.0.0.0/24", "-bad-")], "InvalidResourceName"),
        ([subnet("10.0.0.0/24", defaultOutboundAccess=False)], "NotSupported"),
        ([subnet("10.0.0.0/24", privateEndpointNetworkPolicies="Maybe")], "InvalidRequestFormat"),
        ([subnet("10.0.0.0/24", delegations=[{"name": "d"}])], "InvalidRequestContent"),
        ([subnet("10.0.0.0/24", serviceEndpoints=[{"service": "Microsoft.Storage"}])], "InvalidRequestContent"),
        ([subnet("10.0.0.0/24", natGateway={"id": "/x"})], "InvalidRequestContent"),
    ],
)
def test_a_subnet_that_cannot_be_is_refused(net: Net, subnets: list[Json], code: str) -> None:
    refusal = net.refused("virtualNetworks/v", {**SPACE, "subnets": subnets})
    assert (refusal.status, refusal.code) == (400, code)


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"enableDdosProtection": True}, "NotSupported"),
        ({"flowTimeoutInMinutes": 10}, "InvalidRequestContent"),
        ({"encryption": {"enabled": True}}, "InvalidRequestContent"),
        ({"dhcpOptions": {"dnsServers": ["dns.example"]}}, "InvalidIPAddressFormat"),
        ({"virtualNetworkPeerings": [{"name": "p"}]}, "InvalidRequestContent"),
    ],
)
def test_what_is_not_supported_is_refused(net: Net, extra: Json, code: str) -> None:
    assert net.refused("virtualNetworks/v", {**SPACE, **extra}).code == code


def test_features_that_ask_for_nothing_are_taken(net: Net) -> None:
    unused: Any = {"delegations": [], "serviceEndpoints": [], "routeTable": None, "defaultOutboundAccess": True}
    body = net.put(
        "virtualNetworks/v", {**SPACE, "virtualNetworkPeerings": [], "subnets": [subnet("10.0.0.0/24", **unused)]}
    )
    assert body["properties"]["subnets"][0]["properties"]["defaultOutboundAccess"] is True


def test_the_plural_form_with_one_prefix_is_kept(net: Net) -> None:
    net.vnet()
    sent = {"addressPrefix": "", "addressPrefixes": ["10.0.1.0/24"]}
    shown = net.put("virtualNetworks/v/subnets/t", sent)["properties"]
    assert shown["addressPrefixes"] == ["10.0.1.0/24"]
    assert "addressPrefix" not in shown


def test_a_subnet_in_use_stays_as_it_is(net: Net) -> None:
    net.vnet(s="10.0.0.0/24", free="10.0.1.0/24")
    net.nic()
    configuration = net.id("networkInterfaces/n/ipConfigurations/one")
    shown = net.get("virtualNetworks/v/subnets/s")["properties"]["ipConfigurations"]
    assert shown == [{"id": configuration}]
    for refusal in (
        net.not_deleted("virtualNetworks/v/subnets/s"),
        net.not_deleted("virtualNetworks/v"),
        net.refused("virtualNetworks/v", {**SPACE, "subnets": []}),
    ):
        assert (refusal.status, refusal.code) == (400, "InUseSubnetCannotBeDeleted")
        assert configuration in refusal.message
    resized = net.refused("virtualNetworks/v/subnets/s", {"addressPrefix": "10.0.0.0/25"})
    assert resized.code == "InUsePrefixCannotBeDeleted"
    assert net.delete("virtualNetworks/v/subnets/free") == 200
    assert net.delete("networkInterfaces/n") == 200
    assert net.delete("virtualNetworks/v") == 200


def test_a_group_that_is_not_there_is_refused(net: Net) -> None:
    group = {"id": net.id("networkSecurityGroups/none")}
    refusal = net.refused(
        "virtualNetworks/v", {**SPACE, "subnets": [subnet("10.0.0.0/24", networkSecurityGroup=group)]}
    )
    assert refusal.code == "InvalidResourceReference"


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("10.0.0.9", {"available": True, "isPlatformReserved": False}),
        (
            "10.0.0.4",
            {
                "available": False,
                "availableIPAddresses": ["10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.9"],
                "isPlatformReserved": False,
            },
        ),
    ],
)
def test_an_address_can_be_checked(net: Net, address: str, answer: Json) -> None:
    net.vnet()
    net.nic()
    assert net.view("virtualNetworks/v", "checkipaddressavailability", {"ipaddress": address}) == answer


def test_reserved_addresses_are_not_available(net: Net) -> None:
    net.vnet()
    for address in ("10.0.0.0", "10.0.0.3", "10.0.0.255"):
        answer = net.view("virtualNetworks/v", "checkipaddressavailability", {"ipaddress": address})
        assert (answer["available"], answer["isPlatformReserved"]) == (False, True)


def test_usages_count_addresses(net: Net) -> None:
    net.vnet()
    net.nic()
    (usage,) = net.view("virtualNetworks/v", "usages")["value"]
    assert (usage["currentValue"], usage["limit"]) == (1, 251)
