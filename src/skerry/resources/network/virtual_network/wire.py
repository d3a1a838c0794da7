"""Microsoft.Network/virtualNetworks on the wire (https://learn.microsoft.com/rest/api/virtualnetwork)."""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta, field

from skerry.arm.descriptor import ArmResource, Properties, ReadOnly
from skerry.arm.errors import BadRequest
from skerry.resources.network.addresses import SMALLEST, check_address_space, parse_address, parse_prefix
from skerry.resources.network.shared import FORMAT, Address, Child, Prefix, Reference, invalid, refuse_true, unsupported

Policy = Annotated[Literal["Disabled", "Enabled"], FORMAT]
NoPolicy = Annotated[Literal["Disabled"], FORMAT]


class AddressSpace(Properties):
    """IPv4 CIDRs."""

    address_prefixes: Annotated[list[Prefix], Meta(max_length=1000)]


class DhcpOptions(Properties):
    """Name servers that guests get instead of the platform's."""

    dns_servers: Annotated[list[Address], Meta(max_length=20)] | None = None


class SubnetProperties(Properties):
    """`properties` of a subnet. `ip_configurations` is shown, never read."""

    address_prefix: Prefix | None = None
    address_prefixes: Annotated[list[Prefix], Meta(max_length=1000)] | None = None
    network_security_group: Reference | None = None
    private_endpoint_network_policies: Policy | None = None
    private_link_service_network_policies: Policy | None = None
    default_outbound_access: bool | None = None
    ip_configurations: ReadOnly[list[Reference] | None] = None
    provisioning_state: ReadOnly[str | None] = None


class Subnet(Child, kw_only=True):
    """A subnet of a virtual network."""

    properties: SubnetProperties


class VirtualNetworkProperties(Properties):
    """`properties` of a virtual network."""

    address_space: AddressSpace | None = None
    dhcp_options: DhcpOptions | None = None
    subnets: Annotated[list[Subnet], Meta(max_length=3000)] | None = None
    enable_ddos_protection: bool | None = None
    enable_vm_protection: bool | None = None
    private_endpoint_vnet_policies: NoPolicy | None = field(default=None, name="privateEndpointVNetPolicies")
    resource_guid: ReadOnly[str | None] = None
    provisioning_state: ReadOnly[str | None] = None


class VirtualNetwork(ArmResource, kw_only=True):
    """A virtual network with its subnets."""

    properties: VirtualNetworkProperties


class Availability(TypedDict):
    """What CheckIPAddressAvailability answers."""

    available: bool
    availableIPAddresses: NotRequired[list[str]]
    isPlatformReserved: bool


class SubnetUsage(TypedDict):
    """How full a subnet is."""

    id: str
    currentValue: int
    limit: int
    name: dict[str, str]
    unit: str


class SubnetUsages(TypedDict):
    """All subnets' use."""

    value: list[SubnetUsage]


def validate(network: VirtualNetwork) -> None:
    """Check everything that needs no other row, and give it the form that GET shows. Raises BadRequest."""
    properties = network.properties
    if properties.address_space is None or not properties.address_space.address_prefixes:
        raise invalid("A virtual network needs addressSpace.addressPrefixes.", "addressSpace.addressPrefixes")
    space = [
        parse_prefix(text, network.id, "addressSpace.addressPrefixes")
        for text in properties.address_space.address_prefixes
    ]
    check_address_space(network.name, space)
    for server in (properties.dhcp_options.dns_servers or []) if properties.dhcp_options else []:
        parse_address(server, "dhcpOptions.dnsServers")
    refuse_true("enableDdosProtection", properties.enable_ddos_protection, "DDoS protection is asked for.")
    refuse_true("enableVmProtection", properties.enable_vm_protection, "VM protection is asked for.")
    properties.enable_ddos_protection = False
    properties.private_endpoint_vnet_policies = "Disabled"
    for subnet in properties.subnets or []:
        _complete_subnet(subnet)
    _check_ranges(network, space, properties.subnets or [])
    properties.provisioning_state = "Succeeded"


def prefix_text(properties: SubnetProperties) -> str | None:
    """A subnet's one prefix as it was given; None if there is none."""
    return properties.address_prefix or next(iter(properties.address_prefixes or []), None)


def _complete_subnet(subnet: Subnet) -> None:
    properties = subnet.properties
    several, text = properties.address_prefixes or [], prefix_text(properties)
    if text is None:
        raise invalid(f"Subnet '{subnet.name}' has neither addressPrefix nor addressPrefixes.", "addressPrefix")
    if len(several) > 1:
        raise unsupported(f"Subnet '{subnet.name}' has more than one address prefix.", "addressPrefixes")
    if properties.address_prefix and several not in ([], [text]):
        raise invalid(f"Subnet '{subnet.name}' has addressPrefix and another addressPrefixes.", "addressPrefixes")
    properties.address_prefix = properties.address_prefix or None
    properties.address_prefixes = None if properties.address_prefix else several
    properties.private_endpoint_network_policies = properties.private_endpoint_network_policies or "Disabled"
    properties.private_link_service_network_policies = properties.private_link_service_network_policies or "Enabled"
    if properties.default_outbound_access is False:
        raise unsupported(
            f"Subnet '{subnet.name}' has defaultOutboundAccess false. Deny outbound traffic to Internet by a rule of a "
            "network security group instead.",
            "defaultOutboundAccess",
        )
    properties.ip_configurations, properties.provisioning_state = None, "Succeeded"


def _check_ranges(network: VirtualNetwork, space: Sequence[IPv4Network], subnets: Sequence[Subnet]) -> None:
    ranges: list[IPv4Network] = []
    for subnet in subnets:
        subnet_range = parse_prefix(prefix_text(subnet.properties) or "", subnet.id or "", "addressPrefix")
        if not any(subnet_range.subnet_of(prefix) for prefix in space):
            raise _bad_range(
                "NetcfgSubnetRangeOutsideVnet",
                f"Subnet '{subnet.name}' is not valid because its IP address range is outside the IP address range of "
                f"virtual network '{network.name}'.",
            )
        if subnet_range.prefixlen > SMALLEST:
            raise _bad_range(
                "NetcfgInvalidSubnet",
                f"Subnet '{subnet.name}' is not valid in virtual network '{network.name}'. The smallest has "
                f"prefix length {SMALLEST}.",
            )
        if any(subnet_range.overlaps(other) for other in ranges):
            raise _bad_range(
                "NetcfgSubnetRangesOverlap",
                f"Subnet '{subnet.name}' is not valid because its IP address range overlaps with that of an existing "
                f"subnet in virtual network '{network.name}'.",
            )
        ranges.append(subnet_range)


def _bad_range(code: str, message: str) -> BadRequest:
    return BadRequest(code, message, target="subnets")
