"""Nothing that a tenant names becomes an option or a path on the host: from the wire to the specs, argv and files."""

import ipaddress
import re
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.client import KEY, Arm

from skerry.host.compute.qemu import argv
from skerry.host.network import dhcp, names, rules
from skerry.host.provisioning.ovf import ovf_env
from skerry.host.storage.names import disk_id
from skerry.hostspec import HostSpec

NASTY = [
    "-enable-kvm",
    "--help",
    "a,script=/bin/sh",
    "a,,b",
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "a\nb",
    "a\0b",
    "a b",
    "$(reboot)",
    "`id`",
    "a;b",
    "a|b",
    "json:{}",
    "nbd:host",
    "%2e%2e",
    "%s",
    "é",
    "a\u202eb",
    "x" * 300,
    ".",
    "..",
    "",
]
_ID = re.compile(r"[0-9a-fA-F-]{8,40}|[a-z0-9][a-z0-9._-]*")


def check(spec: HostSpec) -> None:
    """Every word that a program or a file name on the host is made of, from this spec."""
    for vm in spec.vms:
        assert _ID.fullmatch(vm.id)
        disks = (argv.Disk("os", (argv.Layer(7, "qcow2"),)),)
        fds = argv.Descriptors(3, 4, 5, 6, disks, tuple(range(8, 8 + len(vm.macs))))
        words = argv.command_line("qemu", "q35", "tcg", vm, fds)
        plain = argv.command_line("qemu", "q35", "tcg", _anonymous(vm), fds)
        assert [a for a, b in zip(words, plain, strict=True) if a != b] == []
        assert vm.provisioning is None or b"\0" not in ovf_env(vm.provisioning)
    for disk in spec.disks:
        assert disk_id(disk.id) == disk.id
        assert disk.image is None or _ID.fullmatch(disk.image)
    for vnet in spec.vnets:
        for port in vnet.ports:
            assert re.fullmatch(r"[a-z0-9-]{1,15}", names.tap_name(port.id))
            ipaddress.IPv4Address(port.address)
        for text in dhcp.files(vnet).values():
            assert all(len(line.split(" " if " " in line else ",")) in (3, 4) for line in text.splitlines())
        mark, transaction = rules.render(vnet)
        assert transaction.isascii()
        assert re.fullmatch(r"v_[0-9a-f]{24}", mark)


def _anonymous(vm: Any) -> Any:
    from msgspec.structs import replace

    return replace(vm, name="x", metadata="", provisioning=None)


def send(arm: Arm, name: str) -> None:
    """The name in every place that takes one; each is refused or stored."""
    group = arm.group()
    network, compute = f"{group}/providers/Microsoft.Network", f"{group}/providers/Microsoft.Compute"
    subnets = [{"name": name, "properties": {"addressPrefix": "10.1.0.0/24"}}]
    vnet = {
        "addressSpace": {"addressPrefixes": ["10.1.0.0/16"]},
        "subnets": subnets,
        "dhcpOptions": {"dnsServers": [name]},
    }
    rule = {"priority": 100, "direction": "Inbound", "access": "Allow", "protocol": "Tcp"}
    for member in ("sourceAddressPrefix", "destinationAddressPrefix", "sourcePortRange", "destinationPortRange"):
        body = rule | dict.fromkeys(("sourceAddressPrefix", "destinationAddressPrefix", "sourcePortRange"), "*")
        properties = body | {"destinationPortRange": "22"} | {member: name}
        groups = {"location": "local", "properties": {"securityRules": [{"name": name, "properties": properties}]}}
        assert arm.put(f"{network}/networkSecurityGroups/bad", groups).status in (200, 201, 400)
    assert arm.put(f"{network}/virtualNetworks/bad", vnet).status in (
        200,
        201,
        400,
    )
    sku = {"location": "local", "sku": {"name": "Standard"}, "properties": {"dnsSettings": {"domainNameLabel": name}}}
    assert arm.put(f"{network}/publicIPAddresses/bad", sku).status in (200, 201, 400)
    disk = {
        "location": "local",
        "properties": {"diskSizeGB": 4, "creationData": {"createOption": name, "imageReference": {"id": name}}},
    }
    assert arm.put(f"{compute}/disks/bad", disk).status in (200, 201, 202, 400, 404)
    for path, value in _VM_PLACES:
        vm = arm.vm_body(arm.nic(group))
        here = vm["properties"]
        for part in path[:-1]:
            here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
        here[path[-1]] = value(name)
        answer = arm.put(f"{compute}/virtualMachines/web", vm)
        assert answer.status in (200, 201, 400, 404, 409), answer.body
    for resource in ("virtualMachines", "disks", "sshPublicKeys"):
        asked = f"{compute}/{resource}/{quote(name, safe='')}"
        assert arm.get(asked).status in (200, 400, 404)


_VM_PLACES: list[tuple[tuple[Any, ...], Any]] = [
    (("osProfile", "computerName"), lambda name: name),
    (("osProfile", "adminUsername"), lambda name: name),
    (("osProfile", "customData"), lambda name: name),
    (("userData",), lambda name: name),
    (("osProfile", "linuxConfiguration", "ssh", "publicKeys"), lambda name: [{"path": name, "keyData": KEY}]),
    (("osProfile", "linuxConfiguration", "ssh", "publicKeys"), lambda name: [{"keyData": f"{KEY} {name}"}]),
    (("hardwareProfile", "vmSize"), lambda name: name),
    (("storageProfile", "osDisk", "name"), lambda name: name),
    (("storageProfile", "imageReference", "sku"), lambda name: name),
    (("storageProfile", "imageReference", "id"), lambda name: name),
    (("networkProfile", "networkInterfaces", 0, "id"), lambda name: name),
]


def test_nasty_names(arm: Arm) -> None:
    for name in NASTY:
        send(arm, name)
    with arm.control.store.read() as work:
        check(work.hosts.spec("local"))
    for vm, machine in arm.host.compute.machines().items():
        assert _ID.fullmatch(vm)
        assert all(_ID.fullmatch(disk) for disk in machine.disks)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_name(arm: Arm, name: str) -> None:
    tags = {"location": "local", "tags": {"n": name}, "properties": {}}
    group = arm.group()
    assert arm.put(f"{group}/providers/Microsoft.Network/networkSecurityGroups/g", tags).status in (200, 201, 400)
    vm = arm.vm_body(arm.nic(group))
    vm["tags"] = {"n": name}
    vm["properties"]["osProfile"] |= {"computerName": name}
    assert arm.put(f"{group}/providers/Microsoft.Compute/virtualMachines/web", vm).status in (200, 201, 400, 409)
    with arm.control.store.read() as work:
        check(work.hosts.spec("local"))
