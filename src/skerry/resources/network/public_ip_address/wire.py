"""Microsoft.Network/publicIPAddresses on the wire (https://learn.microsoft.com/rest/api/virtualnetwork)."""

from typing import Annotated, Literal

from msgspec import Meta, field

from skerry.arm.descriptor import ArmResource, Properties, ReadOnly
from skerry.arm.errors import BadRequest
from skerry.resources.network.shared import FORMAT, Reference

Zone = Annotated[Literal["1", "2", "3"], FORMAT]
Minutes = Annotated[int, Meta(ge=4, le=30, extra={"code": "InvalidRequestFormat"})]


class PublicIpAddressSku(Properties):
    """Standard addresses are Static; else the two are alike here."""

    name: Annotated[Literal["Basic", "Standard"], FORMAT]
    tier: Annotated[Literal["Regional"], FORMAT] | None = None


class DdosSettings(Properties):
    """Only what asks for nothing."""

    protection_mode: Annotated[Literal["VirtualNetworkInherited"], FORMAT] | None = None


class PublicIpAddressProperties(Properties):
    """`properties` of a public address. `ip_configuration` is shown, never read."""

    ip_address: ReadOnly[str | None] = None
    public_ip_allocation_method: Annotated[Literal["Static", "Dynamic"], FORMAT] | None = field(
        default=None, name="publicIPAllocationMethod"
    )
    public_ip_address_version: Annotated[Literal["IPv4"], FORMAT] | None = field(
        default=None, name="publicIPAddressVersion"
    )
    idle_timeout_in_minutes: Minutes | None = None
    ip_configuration: ReadOnly[Reference | None] = None
    ddos_settings: DdosSettings | None = None
    resource_guid: ReadOnly[str | None] = None
    provisioning_state: ReadOnly[str | None] = None


class PublicIpAddress(ArmResource, kw_only=True):
    """A public IP address."""

    sku: PublicIpAddressSku | None = None
    zones: Annotated[list[Zone], Meta(max_length=3)] | None = None
    properties: PublicIpAddressProperties | None = None


def validate(address: PublicIpAddress, properties: PublicIpAddressProperties) -> None:
    """Check a public address whose defaults are filled in. Raises BadRequest."""
    sku = address.sku = address.sku or PublicIpAddressSku(name="Basic")
    sku.tier = "Regional"
    address.zones = address.zones or None
    method = properties.public_ip_allocation_method or "Dynamic"
    if sku.name == "Standard" and method != "Static":
        raise BadRequest(
            "StandardSkuPublicIPAddressesMustBeStatic",
            f"Standard sku publicIp {address.id} must have AllocationMethod set to Static.",
            target="properties.publicIPAllocationMethod",
        )
    properties.public_ip_allocation_method = method
    properties.public_ip_address_version = "IPv4"
    properties.idle_timeout_in_minutes = properties.idle_timeout_in_minutes or 4
    properties.ddos_settings = properties.ip_configuration = None
    properties.provisioning_state = "Succeeded"


def keep(old: PublicIpAddress, new: PublicIpAddress, properties: PublicIpAddressProperties) -> None:
    """Fill in from before what the body leaves out. Raises BadRequest for what can't change."""
    before = old.properties or PublicIpAddressProperties()
    properties.public_ip_allocation_method = (
        properties.public_ip_allocation_method or before.public_ip_allocation_method
    )
    if properties.idle_timeout_in_minutes is None:
        properties.idle_timeout_in_minutes = before.idle_timeout_in_minutes
    new.sku, new.zones = new.sku or old.sku, new.zones or old.zones
    if new.sku and old.sku and new.sku.name.lower() != old.sku.name.lower():
        raise BadRequest(
            "PropertyChangeNotAllowed",
            f"The sku of public IP address {old.id} cannot be changed from {old.sku.name} to {new.sku.name}. Delete it "
            "and create it again.",
            target="sku.name",
        )
    if new.zones != old.zones:
        raise BadRequest(
            "ResourceAvailabilityZonesCannotBeModified",
            f"Resource {old.id} has an existing availability zone constraint {', '.join(old.zones or ['NoZone'])} and "
            f"the request has availability zone constraint {', '.join(new.zones or ['NoZone'])}, which do not match. "
            "Zones cannot be added/updated/removed once the resource is created.",
            target="zones",
        )
