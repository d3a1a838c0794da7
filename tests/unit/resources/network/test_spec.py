"""What hosts get of the networks, and when."""

from typing import Any

import pytest
from tests.unit.resources.network.net import Net, rule

from skerry.arm.errors import ArmError
from skerry.hostspec import PortSpec
from skerry.resources.network import spec

SPACE = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}


@pytest.fixture(autouse=True)
def resources(net: Net) -> None:
    """A VNet whose subnet `s` has NSG `sub`, NSG `own`, a Standard public address `p`, and NIC `n` with them."""
    net.put("networkSecurityGroups/sub")
    net.put("networkSecurityGroups/own", {"securityRules": [{"name": "ssh", "properties": rule()}]})
    net.put("publicIPAddresses/p", {"publicIPAllocationMethod": "Static"}, sku={"name": "Standard"})
    group = {"id": net.id("networkSecurityGroups/sub")}
    subnets = [{"name": "s", "properties": {"addressPrefix": "10.0.0.0/24", "networkSecurityGroup": group}}]
    net.put("virtualNetworks/v", {**SPACE, "dhcpOptions": {"dnsServers": ["10.0.0.9"]}, "subnets": subnets})
    net.nic(nsg="own", public="p")


def test_nothing_is_on_a_host_before_a_vm_is(net: Net) -> None:
    assert net.vnets() == ()
    assert net.put_result("networkSecurityGroups/own").operation is None


def test_a_placed_nic_brings_its_vnet(net: Net) -> None:
    net.place()
    (vnet,) = net.vnets()
    assert vnet.id == spec.vnet_spec_id(net.key("virtualNetworks/v"))
    assert (vnet.prefixes, vnet.dns_servers) == (("10.0.0.0/16",), ("10.0.0.9",))
    (subnet,) = vnet.subnets
    assert subnet.prefix == "10.0.0.0/24"
    sub, own = (spec.port_id(net.key(f"networkSecurityGroups/{name}")) for name in ("sub", "own"))
    assert subnet.nsg == sub
    assert {group.id for group in vnet.nsgs} == {sub, own}
    mac = net.get("networkInterfaces/n")["properties"]["macAddress"].replace("-", ":").lower()
    assert net.port() == PortSpec(
        id=spec.port_id(net.key("networkInterfaces/n")),
        vm="vm-1",
        mac=mac,
        address="10.0.0.4",
        subnet=subnet.id,
        hostname="web",
        nsg=own,
        public_address="127.104.156.1",
        public_open=False,
    )


def test_rules_reach_the_host_in_order_with_the_default_ones(net: Net) -> None:
    net.place()
    own = next(g for g in net.vnets()[0].nsgs if len(g.rules) == 7)
    assert [(r.direction, r.priority) for r in own.rules] == [
        ("Inbound", 100),
        ("Inbound", 65000),
        ("Inbound", 65001),
        ("Inbound", 65500),
        ("Outbound", 65000),
        ("Outbound", 65001),
        ("Outbound", 65500),
    ]
    ssh = own.rules[0]
    assert (ssh.name, ssh.protocol, ssh.access) == ("ssh", "Tcp", "Allow")
    assert (ssh.source_prefixes, ssh.destination_ports) == (("*",), ((22, 22),))
    assert ssh.source_ports == ((0, 65535),)


def test_plural_members_reach_the_host(net: Net) -> None:
    net.place()
    changes: Any = {
        "destinationPortRange": None,
        "destinationPortRanges": ["80", "8000-8010"],
        "sourceAddressPrefix": None,
        "sourceAddressPrefixes": ["10.1.2.3", "10.2.3.4/16"],
    }
    net.put("networkSecurityGroups/own/securityRules/ssh", rule(**changes))
    ssh = next(r for group in net.vnets()[0].nsgs for r in group.rules if r.name == "ssh")
    assert ssh.destination_ports == ((80, 80), (8000, 8010))
    assert ssh.source_prefixes == ("10.1.2.3/32", "10.2.0.0/16")


def test_a_basic_public_address_is_open_without_a_group(net: Net) -> None:
    net.put("publicIPAddresses/basic")
    net.nic("n", public="basic")
    net.place()
    assert net.port().public_open
    assert net.port().nsg is None


def test_the_last_port_takes_the_vnet_along(net: Net) -> None:
    net.nic("m")
    first = net.place()
    assert net.place() == first
    assert net.place("m") > first
    assert len(net.vnets()[0].ports) == 2
    assert net.unplace("m") is not None
    assert len(net.vnets()[0].ports) == 1
    assert net.unplace() is not None
    assert net.vnets() == ()
    assert net.unplace() is None


def test_a_changed_rule_waits_for_its_host(net: Net) -> None:
    net.place()
    net.report()
    result = net.put_result("networkSecurityGroups/own/securityRules/web", rule(200, destinationPortRange="80"))
    assert net.status(result) == "InProgress"
    assert net.get("networkSecurityGroups/own")["properties"]["provisioningState"] == "Succeeded"
    net.report()
    assert net.status(result) == "Succeeded"


def test_several_changes_wait_at_once_and_none_is_in_the_way(net: Net) -> None:
    net.place()
    net.report()
    results = [
        net.put_result(f"networkSecurityGroups/own/securityRules/r{n}", rule(200 + n, destinationPortRange="80"))
        for n in range(3)
    ]
    assert [net.status(result) for result in results] == ["InProgress"] * 3
    net.report()
    assert [net.status(result) for result in results] == ["Succeeded"] * 3


def test_a_change_that_reaches_no_host_is_done_at_once(net: Net) -> None:
    net.place()
    same = net.get("networkInterfaces/n")["properties"]
    assert net.put_result("networkInterfaces/n", same, tags={"a": "b"}).operation is None
    net.put("networkSecurityGroups/elsewhere")
    assert net.put_result("networkSecurityGroups/elsewhere", {"securityRules": []}).operation is None


def test_a_group_taken_off_a_nic_reaches_the_host(net: Net) -> None:
    net.place()
    result = net.put_result("networkInterfaces/n", net.configuration(public="p"))
    assert result.operation is not None
    assert net.port().nsg is None
    net.put("networkInterfaces/n", net.configuration())
    assert net.port().public_address is None


def test_a_changed_vnet_reaches_the_host(net: Net) -> None:
    net.place()
    subnets = [{"name": "s", "properties": {"addressPrefix": "10.0.0.0/24"}}]
    space = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16", "10.9.0.0/16"]}}
    assert net.put_result("virtualNetworks/v", {**space, "subnets": subnets}).operation is not None
    (vnet,) = net.vnets()
    assert vnet.prefixes == ("10.0.0.0/16", "10.9.0.0/16")
    assert vnet.subnets[0].nsg is None
    assert vnet.dns_servers == ()


def test_a_placed_nic_keeps_its_address(net: Net) -> None:
    net.place()
    wanted = net.configuration(privateIPAddress="10.0.0.8", privateIPAllocationMethod="Static")
    refusal = net.refused("networkInterfaces/n", wanted)
    assert (refusal.status, refusal.code) == (409, "OperationNotAllowed")
    net.unplace()
    net.put("networkInterfaces/n", wanted)
    assert net.address() == "10.0.0.8"


@pytest.mark.parametrize("applied", [1, None])
@pytest.mark.parametrize("kind", ["vnet", "publicAddress"])
def test_a_deadline_names_the_hosts_problem(net: Net, kind: str, applied: int | None) -> None:
    net.place()
    thing = spec.vnet_spec_id(net.key("virtualNetworks/v")) if kind == "vnet" else "127.104.156.1"
    net.report()
    result = net.put_result("networkSecurityGroups/own", {})
    assert result.operation is not None
    net.report((kind, thing, "nft said no"), ("vnet", "another", "no matter"), revision=applied)
    with net.store.write() as work:
        operation = work.operations.get(result.operation.id)
        assert operation is not None
        operation.deadline = 1.0
        work.operations.save(operation)
    assert net.status(result) == "Failed"
    with net.store.read() as work:
        failed = work.operations.get(result.operation.id)
    assert failed is not None
    assert b"nft said no" in (failed.error or b"")
    assert net.get("networkSecurityGroups/own")["properties"]["provisioningState"] == "Succeeded"


def test_the_metadata_document_has_the_addresses(net: Net) -> None:
    net.place()
    mac = net.get("networkInterfaces/n")["properties"]["macAddress"].replace("-", "")
    with net.store.read() as work:
        document = spec.network_metadata(work, [net.key("networkInterfaces/n")])
    assert document == {
        "interface": [
            {
                "ipv4": {
                    "ipAddress": [{"privateIpAddress": "10.0.0.4", "publicIpAddress": "127.104.156.1"}],
                    "subnet": [{"address": "10.0.0.0", "prefix": "24"}],
                },
                "ipv6": {"ipAddress": []},
                "macAddress": mac,
            }
        ]
    }


def test_ids_are_sixteen_hex_digits() -> None:
    assert len(spec.port_id("a")) == 16
    assert int(spec.port_id("a"), 16) != int(spec.port_id("b"), 16)


def test_a_refused_change_leaves_the_host_alone(net: Net) -> None:
    revision = net.place()
    with pytest.raises(ArmError):
        net.put("networkSecurityGroups/own/securityRules/bad", rule(priority=100))
    with net.store.read() as work:
        assert work.hosts.revision("local") == revision
