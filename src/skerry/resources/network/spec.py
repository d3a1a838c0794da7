"""What hosts should have of the networks: built from rows, refreshed in the transaction that changes them.

A NIC whose VM is on a host has `{"host", "vm", "hostname"}` in its row's `private`, and from the first time on `mac`.
A host gets a VNet as soon as one of its NICs is there, with the ports that are there and the NSGs that its subnets and
those ports use.
This module reads stored bodies, which the types have validated; it imports no type, so that all of them can use it.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network
from itertools import count
from typing import Any, TypeVar

import msgspec
import orjson
from msgspec.structs import replace

from skerry.arm.ids import parse_id
from skerry.arm.rows import Body, body_of
from skerry.hostspec import NsgSpec, PortSpec, SubnetSpec, VmSpec, VnetSpec, mac_for
from skerry.resources.network.security_rules import DefaultSecurityRule, rule_spec
from skerry.store import Link, ResourceRow, UnitOfWork

_PLACE = ("host", "vm", "hostname")


def _opaque(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def port_id(nic_key: str) -> str:
    """The id of a NIC's port on its host: 16 hex digits."""
    return _opaque(nic_key)


def vnet_spec_id(vnet_key: str) -> str:
    """The id of a VNet on its hosts: 16 hex digits."""
    return _opaque(vnet_key)


def mac_of(nic: ResourceRow) -> str:
    """The MAC address of a NIC that is or was on a host, as `00:0d:3a:01:02:03`."""
    mac: str = nic.private["mac"]
    return mac.replace("-", ":").lower()


def mac_link(nic: ResourceRow) -> Link:
    """The link that keeps other NICs from getting the MAC address."""
    return Link(nic.key, _mac_key(mac_of(nic)), "mac")


def _mac_key(mac: str) -> str:
    return f"macs/{mac.replace(':', '-')}"


def _give_mac(work: UnitOfWork, nic: ResourceRow, vm: str) -> None:
    """A NIC gets its MAC address when its VM is first started, and keeps it.

    Source: https://learn.microsoft.com/azure/virtual-network/virtual-network-network-interface
    """
    if "mac" in nic.private:
        return
    macs = (mac_for(vm, attempt) for attempt in count())
    nic.private["mac"] = next(mac for mac in macs if not work.resources.links_to(_mac_key(mac)))
    work.resources.set_links(nic.key, [*work.resources.links_from(nic.key), mac_link(nic)])


def vnet_of(work: UnitOfWork, nic_key: str) -> str:
    """The key of the VNet that a NIC is in."""
    (link,) = work.resources.links_from(nic_key, "subnet")
    return link.target.rpartition("/subnets/")[0]


def place_nic(work: UnitOfWork, nic_row_key: str, host: str, vm: str, *, hostname: str) -> int:
    """The NIC's VM is on `host` now: give the host its port. Returns the spec revision that has it."""
    nic, vnet = work.resources.get(nic_row_key), work.resources.get(vnet_of(work, nic_row_key))
    assert nic is not None
    assert vnet is not None
    place = {"host": host, "vm": vm, "hostname": hostname}
    if any(nic.private.get(name) != value for name, value in place.items()):
        nic.private |= place
        _give_mac(work, nic, vm)
        work.resources.save(nic)
    new, old = _vnet_spec(work, vnet, [nic]), work.hosts.get(host, VnetSpec, vnet_spec_id(vnet.key))
    return work.hosts.put(host, _merged(new, old) if old else new)


def unplace_nic(work: UnitOfWork, nic_row_key: str) -> int | None:
    """The NIC's VM has left its host. Returns the spec revision without the port; None if it wasn't placed."""
    nic = work.resources.get(nic_row_key)
    if nic is None or not nic.private.get("host"):
        return None
    host: str = nic.private["host"]
    for name in _PLACE:
        nic.private.pop(name, None)
    work.resources.save(nic)
    identifier = vnet_spec_id(vnet_of(work, nic_row_key))
    spec = work.hosts.get(host, VnetSpec, identifier)
    if spec is None:
        return work.hosts.revision(host)
    left = [port for port in spec.ports if port.id != port_id(nic_row_key)]
    return work.hosts.put(host, _with_ports(spec, left)) if left else work.hosts.drop(host, "vnet", identifier)


def _merged(new: VnetSpec, old: VnetSpec) -> VnetSpec:
    """The VNet as it is now, with the ports that the host has besides: nothing of those has changed."""
    ports = {port.id: port for port in (*old.ports, *new.ports)}
    groups = {group.id: group for group in (*old.nsgs, *new.nsgs)}
    return _with_ports(replace(new, nsgs=_sorted(groups.values())), _sorted(ports.values()))


def _with_ports(spec: VnetSpec, ports: Sequence[PortSpec]) -> VnetSpec:
    """The same VNet with these ports, and no NSG that neither they nor a subnet use."""
    used = {subnet.nsg for subnet in spec.subnets} | {port.nsg for port in ports}
    return replace(spec, ports=tuple(ports), nsgs=tuple(group for group in spec.nsgs if group.id in used))


def refresh_vnet(work: UnitOfWork, vnet_key: str) -> int | None:
    """Bring the VNet up to date on every host that has it. Returns the highest spec revision; None if none has."""
    return max(refresh(work, vnet_key).values(), default=None)


def refresh(work: UnitOfWork, vnet_key: str) -> dict[str, int]:
    """As `refresh_vnet`, with the revision of each host."""
    placed = _placed(work, vnet_key)
    vnet = work.resources.get(vnet_key) if placed else None
    if vnet is None:
        return {}
    for host, nics in placed.items():
        for nic in nics:
            _refresh_metadata(work, host, nic)
    return {host: work.hosts.put(host, _vnet_spec(work, vnet, nics)) for host, nics in placed.items()}


def _refresh_metadata(work: UnitOfWork, host: str, nic: ResourceRow) -> None:
    """Bring the network part of a running VM's metadata document up to date: its addresses may have changed."""
    vm = work.hosts.get(host, VmSpec, nic.private["vm"])
    users = work.resources.links_to(nic.key, "nic")
    if vm is None or not vm.metadata or not users:
        return
    keys = [link.target for link in work.resources.links_from(users[0].source, "nic")]
    if {port_id(key) for key in keys} != set(vm.ports):
        return
    keys.sort(key=lambda key: vm.ports.index(port_id(key)))
    document = {**json.loads(vm.metadata), "network": network_metadata(work, keys)}
    work.hosts.put(host, replace(vm, metadata=json.dumps(document)))


def _placed(work: UnitOfWork, vnet_key: str) -> dict[str, list[ResourceRow]]:
    """The VNet's NICs by the host that they are on, in key order."""
    keys = sorted({link.source for link in work.resources.links_under(f"{vnet_key}/subnets/", "subnet")})
    rows = work.resources.get_many(keys)
    found: dict[str, list[ResourceRow]] = defaultdict(list)
    for key in keys:
        if rows[key].private.get("host"):
            found[rows[key].private["host"]].append(rows[key])
    return found


def _vnet_spec(work: UnitOfWork, vnet: ResourceRow, nics: Sequence[ResourceRow]) -> VnetSpec:
    properties = body_of(vnet)["properties"]
    bodies = [body_of(nic)["properties"] for nic in nics]
    publics = work.resources.get_many(filter(None, (_public_key(body) for body in bodies)))
    subnets = properties["subnets"]
    groups = {key for part in (*bodies, *(s["properties"] for s in subnets)) if (key := _nsg_key(part))}
    return VnetSpec(
        id=vnet_spec_id(vnet.key),
        prefixes=tuple(properties["addressSpace"]["addressPrefixes"]),
        subnets=tuple(_subnet_spec(subnet) for subnet in subnets),
        nsgs=_sorted(_nsg_spec(row.key, row.body) for row in work.resources.get_many(groups).values()),
        ports=_sorted(_port_spec(nic, body, publics) for nic, body in zip(nics, bodies, strict=True)),
        dns_servers=tuple(properties.get("dhcpOptions", {}).get("dnsServers", ())),
    )


def subnet_prefix(properties: Body) -> str:
    """A subnet's one prefix, from whichever member has it."""
    prefix: str = properties.get("addressPrefix") or properties["addressPrefixes"][0]
    return prefix


def _subnet_spec(subnet: Body) -> SubnetSpec:
    properties = subnet["properties"]
    nsg = _nsg_key(properties)
    return SubnetSpec(_opaque(subnet["id"].lower()), subnet_prefix(properties), _opaque(nsg) if nsg else None)


S = TypeVar("S", NsgSpec, PortSpec)


def _sorted(specs: Iterable[S]) -> tuple[S, ...]:
    """By id: a spec that is built in another way is the same."""
    return tuple(sorted(specs, key=lambda spec: spec.id))


@lru_cache(256)
def _nsg_spec(key: str, body: bytes) -> NsgSpec:
    """A group as hosts see it: the same for each host and port that has it."""
    properties = orjson.loads(body)["properties"]
    rules = [
        rule_spec(msgspec.convert(rule, DefaultSecurityRule))  # it holds any rule: all but the priority's bounds
        for rule in (*properties["securityRules"], *properties["defaultSecurityRules"])
    ]
    return NsgSpec(_opaque(key), tuple(sorted(rules, key=lambda rule: (rule.direction, rule.priority))))


def _port_spec(nic: ResourceRow, body: Body, publics: dict[str, ResourceRow]) -> PortSpec:
    configuration, nsg = _configuration(body), _nsg_key(body)
    public = publics.get(_public_key(body) or "")
    shown = body_of(public) if public else None
    return PortSpec(
        id=port_id(nic.key),
        vm=nic.private["vm"],
        mac=mac_of(nic),
        address=configuration["privateIPAddress"],
        subnet=_opaque(configuration["subnet"]["id"].lower()),
        hostname=nic.private["hostname"],
        nsg=_opaque(nsg) if nsg else None,
        public_address=shown["properties"]["ipAddress"] if shown else None,
        public_open=bool(shown and shown["sku"]["name"] == "Basic"),
    )


def _configuration(body: Body) -> dict[str, Any]:
    configuration: dict[str, Any] = body["ipConfigurations"][0]["properties"]
    return configuration


def _nsg_key(properties: Body) -> str | None:
    return _key(properties.get("networkSecurityGroup"))


def _public_key(body: Body) -> str | None:
    return _key(_configuration(body).get("publicIPAddress"))


def _key(reference: Body | None) -> str | None:
    return parse_id(reference["id"]).key if reference else None


def network_metadata(work: UnitOfWork, nic_keys: Iterable[str]) -> Body:
    """The `network` part of the instance metadata document, primary NIC first.

    Source: https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
    """
    keys = list(nic_keys)
    rows = work.resources.get_many(keys)
    return {"interface": [_interface(work, rows[key]) for key in keys]}


def _interface(work: UnitOfWork, nic: ResourceRow) -> Body:
    body = body_of(nic)["properties"]
    configuration, public_key = _configuration(body), _public_key(body)
    public = work.resources.get(public_key) if public_key else None
    subnet = parse_id(configuration["subnet"]["id"])
    vnet = work.resources.get(subnet.parent.key) if subnet.parent else None
    assert vnet is not None
    subnets = body_of(vnet)["properties"]["subnets"]
    prefix = next(subnet_prefix(s["properties"]) for s in subnets if s["id"].lower() == subnet.key)
    network = IPv4Network(prefix)
    address = {
        "privateIpAddress": configuration["privateIPAddress"],
        "publicIpAddress": body_of(public)["properties"]["ipAddress"] if public else "",
    }
    return {
        "ipv4": {
            "ipAddress": [address],
            "subnet": [{"address": str(network.network_address), "prefix": str(network.prefixlen)}],
        },
        "ipv6": {"ipAddress": []},
        "macAddress": mac_of(nic).replace(":", "").upper(),
    }
