"""Microsoft.Network/networkInterfaces on the wire (https://learn.microsoft.com/rest/api/virtualnetwork)."""

from msgspec import field

from skerry.arm.descriptor import ArmResource, Properties
from skerry.arm.errors import BadRequest
from skerry.resources.network.shared import Child, Reference, invalid, one_of, refuse_true, unsupported


class IpConfigurationProperties(Properties):
    """`properties` of an ipConfiguration."""

    subnet: Reference | None = None
    private_ip_address: str | None = field(default=None, name="privateIPAddress")
    private_ip_allocation_method: str | None = field(default=None, name="privateIPAllocationMethod")
    private_ip_address_version: str | None = field(default=None, name="privateIPAddressVersion")
    public_ip_address: Reference | None = field(default=None, name="publicIPAddress")
    primary: bool | None = None
    provisioning_state: str | None = None


class IpConfiguration(Child, kw_only=True):
    """What gives a NIC its address."""

    properties: IpConfigurationProperties


class DnsSettings(Properties):
    """Read-only: guests take their name servers from the virtual network, their name from the VM."""

    dns_servers: list[str] | None = None
    applied_dns_servers: list[str] | None = None
    internal_domain_name_suffix: str | None = None


class NetworkInterfaceProperties(Properties):
    """`properties` of a NIC. From `primary` on they are shown, never read."""

    ip_configurations: list[IpConfiguration] | None = None
    network_security_group: Reference | None = None
    dns_settings: DnsSettings | None = None
    enable_accelerated_networking: bool | None = None
    enable_ip_forwarding: bool | None = field(default=None, name="enableIPForwarding")
    disable_tcp_state_tracking: bool | None = None
    nic_type: str | None = None
    auxiliary_mode: str | None = None
    auxiliary_sku: str | None = None
    primary: bool | None = None
    mac_address: str | None = None
    virtual_machine: Reference | None = None
    hosted_workloads: list[str] | None = None
    vnet_encryption_supported: bool | None = None
    allow_port25_out: bool | None = field(default=None, name="allowPort25Out")
    default_outbound_connectivity_enabled: bool | None = None
    resource_guid: str | None = None
    provisioning_state: str | None = None


class NetworkInterface(ArmResource, kw_only=True):
    """A network interface."""

    kind: str | None = None
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
    one_of(properties.nic_type or "Standard", ("Standard",), "nicType")
    one_of(properties.auxiliary_mode or "None", ("None",), "auxiliaryMode")
    one_of(properties.auxiliary_sku or "None", ("None",), "auxiliarySku")
    one_of(nic.kind or "Regular", ("Regular",), "kind")
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
    version = inner.private_ip_address_version or "IPv4"
    inner.private_ip_address_version = one_of(version, ("IPv4",), "privateIPAddressVersion")
    method = inner.private_ip_allocation_method or "Dynamic"
    inner.private_ip_allocation_method = one_of(method, ("Dynamic", "Static"), "privateIPAllocationMethod")
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
