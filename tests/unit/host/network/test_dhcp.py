from pathlib import Path

import pytest

from skerry.host.network.dhcp import configuration, domain, files, gateway, kept_leases
from skerry.hostspec import PortSpec, SubnetSpec, VnetSpec


def vnet(hostname: str = "Web-1", dns_servers: tuple[str, ...] = ()) -> VnetSpec:
    ports = (PortSpec("0000000400", "vm", "52-54-00-00-00-0A", "10.0.1.4", "s", hostname),)
    subnets = (SubnetSpec("s", "10.0.1.0/26"), SubnetSpec("t", "10.0.2.0/24"))
    return VnetSpec("0123456789", ("10.0.0.0/16",), subnets, (), ports, dns_servers)


def test_a_guest_is_a_lease_and_a_name() -> None:
    assert files(vnet()) == {
        "leases.conf": "52:54:00:00:00:0a,id:*,10.0.1.4,86400\n",
        "names": "10.0.1.4 Web-1.01234567.internal.skerry Web-1\n",
    }


@pytest.mark.parametrize("name", ["", "-x", "x-", "a b", "x\n0.0.0.0 evil", "a.b", "a" * 64, "a_b", "é"])
def test_a_name_that_is_none_is_left_out(name: str) -> None:
    assert files(vnet(name))["names"] == ""


def test_every_subnet_has_its_range_gateway_and_routes() -> None:
    lines = configuration(vnet(), Path("/run/x"), "nobody").splitlines()
    assert "dhcp-range=set:s0,10.0.1.0,static,255.255.255.192,86400" in lines
    assert "dhcp-option=tag:s0,option:router,10.0.1.1" in lines
    routes = "168.63.129.16/32,10.0.2.1,169.254.169.254/32,10.0.2.1,0.0.0.0/0,10.0.2.1"
    assert f"dhcp-option=tag:s1,option:classless-static-route,{routes}" in lines
    assert "user=nobody" in lines
    assert f"local=/{domain('0123456789')}/" in lines


def test_name_servers_are_the_vnets_or_the_platforms() -> None:
    assert "option:dns-server,168.63.129.16\n" in configuration(vnet(), Path("/run/x"), "nobody")
    own = configuration(vnet(dns_servers=("10.0.0.9", "8.8.8.8")), Path("/run/x"), "nobody")
    assert "option:dns-server,10.0.0.9,8.8.8.8\n" in own


def test_a_name_server_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="Only decimal digits"):
        configuration(vnet(dns_servers=("8.8.8.8\nlog-queries",)), Path("/run/x"), "nobody")


def test_the_gateway_is_the_first_usable_address() -> None:
    assert gateway("192.168.5.128/25") == "192.168.5.129"


def test_a_lease_of_a_removed_guest_is_not_in_the_way_of_the_next_one_at_its_address() -> None:
    port = vnet().ports[0]
    mac = port.mac.replace("-", ":").lower()
    own, other = f"1796043067 {mac} {port.address} web *\n", "1796043063 00:0d:3a:b4:af:b6 10.9.9.9 old *\n"
    assert kept_leases(own + other, vnet()) == own + other
    stale = f"1796043112 00:0d:3a:e4:fb:b0 {port.address} early *\n"
    assert kept_leases(other + stale, vnet()) == other
    assert kept_leases("", vnet()) == ""
