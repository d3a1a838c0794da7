"""Microsoft.Network/networkInterfaces on the wire (https://learn.microsoft.com/rest/api/virtualnetwork)."""

from typing import Annotated, Literal

from msgspec import Meta, field

from skerry.arm.descriptor import ArmResource, Properties, ReadOnly
from skerry.arm.errors import BadRequest
from skerry.resources.network.shared import FORMAT, Address, Child, Reference, invalid, one_of, refuse_true, unsupported


class IpConfigurationProperties(Properties):
    """`properties` of an ipConfiguration."""

    subnet: Reference | None = None
    private_ip_address: Address | None = field(default=None, name="privateIPAddress")
    private_ip_allocation_method: Annotated[Literal["Dynamic", "Static"], FORMAT] | None = field(
        default=None, name="privateIPAllocationMethod"
    )
    private_ip_address_version: Annotated[Literal["IPv4"], FORMAT] | None = field(
        default=None, name="privateIPAddressVersion"
    )
    public_ip_address: Reference | None = field(default=None, name="publicIPAddress")
    primary: bool | None = None
    provisioning_state: ReadOnly[str | None] = None


class IpConfiguration(Child, kw_only=True):
    """What gives a NIC its address."""

    properties: IpConfigurationProperties


class DnsSettings(Properties):
    """Read-only: guests take their name servers from the virtual network, their name from the VM."""

    dns_servers: Annotated[list[Address], Meta(max_length=20)] | None = None
    applied_dns_servers: ReadOnly[list[str] | None] = None
    internal_domain_name_suffix: ReadOnly[str | None] = None


class NetworkInterfaceProperties(Properties):
    """`properties` of a NIC. From `primary` on they are shown, never read."""

    ip_configurations: Annotated[list[IpConfiguration], Meta(max_length=256)] | None = None
    network_security_group: Reference | None = None
    dns_settings: DnsSettings | None = None
    enable_accelerated_networking: bool | None = None
    enable_ip_forwarding: bool | None = field(default=None, name="enableIPForwarding")
    disable_tcp_state_tracking: bool | None = None
    nic_type: Annotated[Literal["Standard"], FORMAT] | None = None
    auxiliary_mode: Annotated[Literal["None"], FORMAT] | None = None
    auxiliary_sku: Annotated[Literal["None"], FORMAT] | None = None
    primary: ReadOnly[bool | None] = None
    mac_address: ReadOnly[str | None] = None
    virtual_machine: ReadOnly[Reference | None] = None
    hosted_workloads: ReadOnly[list[str] | None] = None
    vnet_encryption_supported: ReadOnly[bool | None] = None
    allow_port25_out: ReadOnly[bool | None] = field(default=None, name="allowPort25Out")
    default_outbound_connectivity_enabled: ReadOnly[bool | None] = None
    resource_guid: ReadOnly[str | None] = None
    provisioning_state: ReadOnly[str | None] = None


class NetworkInterface(ArmResource, kw_only=True):
    """A network interface."""

    kind: Annotated[Literal["Regular"], FORMAT] | None = None
    properties: NetworkInterfaceProperties


def validate(nic: NetworkInterface) -> IpConfiguration:
    """Check what needs no other row; the NIC's one ipConfiguration. Raises BadRequest."""
    properties = nic.properties
    refuse_true(
        "enableAcceleratedNetworking",
        properties.enable_accelerated_networking,
        "Accelerated networking needs hardware that is handed to the guest.",
    )
    refuse_true(
        "enableIPForwarding",
        properties.enable_ip_forwarding,
        "With IP forwarding a guest sends from addresses that are not its own, which are dropped here.",
    )
    refuse_true("disableTcpStateTracking", properties.disable_tcp_state_tracking, "All flows are tracked here.")
    if properties.dns_settings is not None and properties.dns_settings.dns_servers:
        raise unsupported(
            "A network interface has DNS servers of its own. Set them on the virtual network (dhcpOptions).",
            "dnsSettings.dnsServers",
        )
    return _only_configuration(properties)


def _only_configuration(properties: NetworkInterfaceProperties) -> IpConfiguration:
    configurations = properties.ip_configurations or []
    if not configurations:
        raise BadRequest(
            "IpConfigurationsMissing",
            "A network interface must have an ipConfiguration.",
            target="ipConfigurations",
        )
    if len(configurations) > 1:
        raise unsupported(f"A network interface has {len(configurations)} ipConfigurations.", "ipConfigurations")
    configuration = configurations[0]
    inner = configuration.properties
    inner.private_ip_address_version = "IPv4"
    inner.private_ip_allocation_method = inner.private_ip_allocation_method or "Dynamic"
    if inner.subnet is None:
        raise BadRequest(
            "SubnetMissing",
            f"IP configuration {configuration.name} names no subnet.",
            target="ipConfigurations.subnet",
        )
    inner.primary, inner.provisioning_state = True, "Succeeded"
    return configuration


def delete_option(reference: Reference) -> str | None:
    """What a reference to a public address says is to happen to it when the VM is deleted."""
    given = next((v for k, v in (reference.properties or {}).items() if k.lower() == "deleteoption"), None)
    if given is None:
        return None
    if not isinstance(given, str):
        raise invalid("deleteOption is not a string.", "publicIPAddress.properties.deleteOption")
    return one_of(given, ("Delete", "Detach"), "publicIPAddress.properties.deleteOption")
