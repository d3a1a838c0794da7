"""Network security groups and their rules."""

from typing import Any

import pytest
from tests.unit.resources.network.net import Json, Net, rule

RULE = "networkSecurityGroups/g/securityRules/r"


def group(net: Net, *rules: Json) -> Json:
    children = [{"name": f"r{index}", "properties": properties} for index, properties in enumerate(rules)]
    return net.put("networkSecurityGroups/g", {"securityRules": children})


def test_a_group_ends_with_azures_default_rules(net: Net) -> None:
    properties = net.put("networkSecurityGroups/g")["properties"]
    assert properties["securityRules"] == []
    shown = [
        (r["name"], r["properties"]["priority"], r["properties"]["direction"], r["properties"]["access"])
        for r in properties["defaultSecurityRules"]
    ]
    assert shown == [
        ("AllowVnetInBound", 65000, "Inbound", "Allow"),
        ("AllowAzureLoadBalancerInBound", 65001, "Inbound", "Allow"),
        ("DenyAllInBound", 65500, "Inbound", "Deny"),
        ("AllowVnetOutBound", 65000, "Outbound", "Allow"),
        ("AllowInternetOutBound", 65001, "Outbound", "Allow"),
        ("DenyAllOutBound", 65500, "Outbound", "Deny"),
    ]


def test_default_rules_are_read_only(net: Net) -> None:
    net.put("networkSecurityGroups/g")
    path = "networkSecurityGroups/g/defaultSecurityRules/DenyAllInBound"
    assert net.get(path)["properties"]["access"] == "Deny"
    assert net.refused(path, rule()).code == "ReadOnlyResource"
    assert net.not_deleted(path).code == "ReadOnlyResource"


def test_a_rule_is_put_read_and_deleted_by_itself(net: Net) -> None:
    net.put("networkSecurityGroups/g")
    sent = rule(900, access="allow", direction="inbound", protocol="*", destinationPortRange="80")
    shown = net.put(RULE, sent, name="r")
    assert shown["id"] == net.id(RULE)
    assert shown["type"] == "Microsoft.Network/networkSecurityGroups/securityRules"
    assert shown["properties"] == {
        **rule(900, protocol="*", destinationPortRange="80"),
        "sourcePortRanges": [],
        "destinationPortRanges": [],
        "sourceAddressPrefixes": [],
        "destinationAddressPrefixes": [],
        "provisioningState": "Succeeded",
    }
    assert net.delete(RULE) == 200
    assert net.get("networkSecurityGroups/g")["properties"]["securityRules"] == []


def test_put_back_changes_nothing(net: Net) -> None:
    group(net, rule(), rule(101, destinationPortRange="", destinationPortRanges=["80", "8000-8010"], description="web"))
    net.vnet()
    net.nic(nsg="g")
    for path in ("networkSecurityGroups/g", "networkSecurityGroups/g/securityRules/r1"):
        before, after = net.put_back(path)
        assert before == after


@pytest.mark.parametrize(
    ("changes", "member", "shown"),
    [
        ({"protocol": "TCP"}, "protocol", "Tcp"),
        ({"protocol": "icmp"}, "protocol", "Icmp"),
        ({"direction": "OUTBOUND"}, "direction", "Outbound"),
        ({"access": "deny"}, "access", "Deny"),
        ({"sourceAddressPrefix": "internet"}, "sourceAddressPrefix", "Internet"),
        ({"destinationAddressPrefix": "VIRTUALNETWORK"}, "destinationAddressPrefix", "VirtualNetwork"),
        ({"sourceAddressPrefix": "0.0.0.0/0"}, "sourceAddressPrefix", "0.0.0.0/0"),
        ({"sourceAddressPrefix": "10.0.0.4"}, "sourceAddressPrefix", "10.0.0.4"),
        ({"destinationPortRange": "8000-8010"}, "destinationPortRange", "8000-8010"),
        ({"priority": "4096"}, "priority", 4096),
    ],
)
def test_values_are_normalised(net: Net, changes: Json, member: str, shown: Any) -> None:
    net.put("networkSecurityGroups/g")
    assert net.put(RULE, rule(**changes))["properties"][member] == shown


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"protocol": "Sctp"}, "InvalidRequestFormat"),
        ({"direction": "Sideways"}, "InvalidRequestFormat"),
        ({"access": "Perhaps"}, "InvalidRequestFormat"),
        ({"priority": 99}, "SecurityRuleInvalidPriority"),
        ({"priority": 4097}, "SecurityRuleInvalidPriority"),
        ({"priority": "high"}, "SecurityRuleInvalidPriority"),
        ({"destinationPortRange": "65536"}, "SecurityRuleInvalidPortRange"),
        ({"destinationPortRange": "80,443"}, "SecurityRuleInvalidPortRange"),
        ({"destinationPortRange": "90-80"}, "SecurityRuleInvalidPortRange"),
        ({"sourcePortRange": "-1"}, "SecurityRuleInvalidPortRange"),
        ({"sourceAddressPrefix": "any"}, "SecurityRuleInvalidAddressPrefix"),
        ({"sourceAddressPrefix": "Storage.WestEurope"}, "SecurityRuleInvalidAddressPrefix"),
        ({"sourceAddressPrefix": "10.0.0.0/99"}, "SecurityRuleInvalidAddressPrefix"),
        ({"sourceAddressPrefix": "10.0.0.1-10.0.0.9"}, "SecurityRuleInvalidAddressPrefix"),
        ({"sourceAddressPrefix": "fd00::/8"}, "NotSupported"),
        ({"sourceAddressPrefixes": ["10.0.0.0/8"]}, "SecurityRuleParametersConflict"),
        ({"destinationPortRanges": ["80"]}, "SecurityRuleParametersConflict"),
        ({"destinationPortRange": None}, "SecurityRuleParametersMissing"),
        (
            {"sourceAddressPrefix": None, "sourceAddressPrefixes": ["10.0.0.0/8", "Internet"]},
            "SecurityRuleParameterContainsUnsupportedValue",
        ),
        ({"sourceApplicationSecurityGroups": [{"id": "/x"}]}, "InvalidRequestContent"),
        ({"description": "x" * 141}, "SecurityRuleDescriptionTooLong"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(net: Net, changes: Json, code: str) -> None:
    net.put("networkSecurityGroups/g")
    refusal = net.refused(RULE, rule(**changes))
    assert (refusal.status, refusal.code) == (400, code)
    assert net.get("networkSecurityGroups/g")["properties"]["securityRules"] == []


def test_an_unknown_service_tag_is_named_with_the_known_ones(net: Net) -> None:
    net.put("networkSecurityGroups/g")
    message = net.refused(RULE, rule(sourceAddressPrefix="AzureCloud")).message
    assert "AzureCloud" in message
    assert "VirtualNetwork, Internet, AzureLoadBalancer" in message


def test_a_priority_is_taken_once_in_each_direction(net: Net) -> None:
    group(net, rule(), rule(direction="Outbound"))
    refusal = net.refused(RULE, rule())
    assert refusal.code == "SecurityRuleConflict"
    assert "r0" in refusal.message


def test_a_group_shows_who_uses_it_and_stays_while_it_is_used(net: Net) -> None:
    net.put("networkSecurityGroups/g")
    net.vnet()
    reference = {"networkSecurityGroup": {"id": net.id("networkSecurityGroups/g").upper()}}
    net.put("virtualNetworks/v/subnets/s", {"addressPrefix": "10.0.0.0/24", **reference})
    net.nic(nsg="g")
    shown = net.get("networkSecurityGroups/g")["properties"]
    assert shown["networkInterfaces"] == [{"id": net.id("networkInterfaces/n")}]
    assert shown["subnets"] == [{"id": net.id("virtualNetworks/v/subnets/s")}]
    refusal = net.not_deleted("networkSecurityGroups/g")
    assert (refusal.status, refusal.code) == (400, "InUseNetworkSecurityGroupCannotBeDeleted")
    net.delete("networkInterfaces/n")
    net.put("virtualNetworks/v/subnets/s", {"addressPrefix": "10.0.0.0/24"})
    assert net.delete("networkSecurityGroups/g") == 200


def test_flush_connection_can_only_be_off(net: Net) -> None:
    net.put("networkSecurityGroups/g", {"flushConnection": False})
    assert net.refused("networkSecurityGroups/g", {"flushConnection": True}).code == "NotSupported"
