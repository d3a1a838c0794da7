"""Microsoft.Network/publicIPAddresses on the wire (https://learn.microsoft.com/rest/api/virtualnetwork)."""

from msgspec import field

from skerry.arm.descriptor import ArmResource, Properties, Sku
from skerry.arm.errors import BadRequest
from skerry.resources.network.shared import Reference, invalid, one_of

_ZONES = ("1", "2", "3")


class DdosSettings(Properties):
    """Only what asks for nothing."""

    protection_mode: str | None = None


class PublicIpAddressProperties(Properties):
    """`properties` of a public address. `ip_configuration` is shown, never read."""

    ip_address: str | None = None
    public_ip_allocation_method: str | None = field(default=None, name="publicIPAllocationMethod")
    public_ip_address_version: str | None = field(default=None, name="publicIPAddressVersion")
    idle_timeout_in_minutes: int | None = None
    ip_configuration: Reference | None = None
    ddos_settings: DdosSettings | None = None
    resource_guid: str | None = None
    provisioning_state: str | None = None


class PublicIpAddress(ArmResource, kw_only=True):
    """A public IP address."""

    sku: Sku | None = None
    zones: list[str] | None = None
    properties: PublicIpAddressProperties | None = None


def validate(address: PublicIpAddress, properties: PublicIpAddressProperties) -> None:
    """Check a public address whose defaults are filled in. Raises BadRequest."""
    sku = address.sku or Sku(name="Basic")
    sku.name = one_of(sku.name, ("Basic", "Standard"), "sku.name")
    sku.tier = one_of(sku.tier or "Regional", ("Regional",), "sku.tier")
    address.sku = sku
    address.zones = [one_of(zone, _ZONES, "zones") for zone in address.zones or []] or None
    method = one_of(
        properties.public_ip_allocation_method or "Dynamic", ("Static", "Dynamic"), "publicIPAllocationMethod"
    )
    if sku.name == "Standard" and method != "Static":
        raise BadRequest(
            "StandardSkuPublicIPAddressesMustBeStatic",
            f"Standard sku publicIp {address.id} must have AllocationMethod set to Static.",
            target="publicIPAllocationMethod",
        )
    properties.public_ip_allocation_method = method
    version = properties.public_ip_address_version or "IPv4"
    properties.public_ip_address_version = one_of(version, ("IPv4",), "publicIPAddressVersion")
    timeout = 4 if properties.idle_timeout_in_minutes is None else properties.idle_timeout_in_minutes
    if not 4 <= timeout <= 30:
        raise invalid(f"idleTimeoutInMinutes is {timeout}; it must be 4 to 30.", "idleTimeoutInMinutes")
    properties.idle_timeout_in_minutes = timeout
    if properties.ddos_settings is not None:
        mode = properties.ddos_settings.protection_mode or "VirtualNetworkInherited"
        one_of(mode, ("VirtualNetworkInherited",), "ddosSettings.protectionMode")
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
