"""Microsoft.Network/networkInterfaces with one ipConfiguration each."""

import uuid

from skerry.arm.descriptor import AnyType, Body, DeleteContext, EmbeddedType, PutContext, ResourceType, remove_row
from skerry.arm.errors import BadRequest, Conflict
from skerry.arm.ids import parse_id
from skerry.arm.rows import body_of
from skerry.resources.network.network_interface import model
from skerry.resources.network.network_interface.pools import give_back
from skerry.resources.network.network_interface.wire import (
    DnsSettings,
    IpConfiguration,
    NetworkInterface,
    delete_option,
    validate,
)
from skerry.resources.network.shared import IP_CONFIGURATION, NIC, NSG, PUBLIC_IP, SUBNET, Reference, adopt
from skerry.resources.network.spec import mac_link, vnet_of, vnet_spec_id
from skerry.resources.network.steps import apply_change
from skerry.resources.network.virtual_network.model import address_key
from skerry.store import Link


def _put(context: PutContext[NetworkInterface]) -> None:
    new, old = context.new, context.old
    configuration = validate(new)
    before = (old.properties.ip_configurations or [])[0] if old else None
    adopt([configuration], new.id, IP_CONFIGURATION, [before] if before else [])
    subnet = _subnet(context, configuration)
    _choose_address(context, configuration, before, subnet)
    _public_address(context, configuration)
    _group(context)
    if "mac" in context.row.private:
        context.links.append(mac_link(context.row))
    _complete(context, subnet)
    apply_change(context, [_vnet_key(subnet)])


def _vnet_key(subnet: Body) -> str:
    key: str = subnet["id"].lower().rpartition("/subnets/")[0]
    return key


def _subnet(context: PutContext[NetworkInterface], configuration: IpConfiguration) -> Body:
    """The subnet that the NIC is in, as stored. Raises BadRequest for one of another VNet than before."""
    reference = configuration.properties.subnet
    assert reference is not None
    target = "ipConfigurations.subnet.id"
    row = context.refer(reference.id, SUBNET, "subnet", target=target, place=configuration.id or "")
    if context.old is not None and vnet_of(context.work, context.row.key) != row.key:
        raise BadRequest(
            "PropertyChangeNotAllowed",
            f"Network interface {context.row.id} cannot be moved to another virtual network. Create another one there.",
            target=target,
        )
    key = parse_id(reference.id).key
    subnet: Body = next(s for s in body_of(row)["properties"]["subnets"] if s["id"].lower() == key)
    configuration.properties.subnet = Reference(id=subnet["id"])
    return subnet


def _choose_address(
    context: PutContext[NetworkInterface],
    configuration: IpConfiguration,
    before: IpConfiguration | None,
    subnet: Body,
) -> None:
    was = before.properties if before else None
    stays = was is not None and was.subnet is not None and was.subnet.id == subnet["id"]
    held = was.private_ip_address if was and stays else None
    address = model.choose_address(context, configuration.properties, held, subnet)
    if was is not None and address != held and context.row.private.get("host"):
        raise Conflict(
            "OperationNotAllowed",
            f"The private address of network interface {context.row.id} cannot be changed from "
            f"{was.private_ip_address} to {address} while its virtual machine is allocated. Deallocate the VM first "
            "(az vm deallocate).",
            target="ipConfigurations.privateIPAddress",
        )
    configuration.properties.private_ip_address = address
    key = address_key(subnet["id"].lower(), address)
    if was is not None:
        give_back(context.work, context.service.memory, context.row.key, keep=key)
    context.links.append(Link(context.row.key, key, "address", configuration.id or ""))


def _public_address(context: PutContext[NetworkInterface], configuration: IpConfiguration) -> None:
    reference = configuration.properties.public_ip_address
    if reference is None:
        return
    target = "ipConfigurations.publicIPAddress.id"
    row = context.refer(reference.id, PUBLIC_IP, "public-ip", target=target, place=configuration.id or "")
    others = [link for link in context.work.resources.links_to(row.key, "public-ip") if link.source != context.row.key]
    if others:
        raise BadRequest(
            "PublicIPAddressInUse",
            f"Resource {configuration.id} is referencing public IP address {row.id} that is already allocated to "
            f"resource {others[0].place}.",
            target=target,
        )
    option = delete_option(reference)
    configuration.properties.public_ip_address = Reference(
        id=row.id, properties={"deleteOption": option} if option else None
    )


def _group(context: PutContext[NetworkInterface]) -> None:
    reference = context.new.properties.network_security_group
    if reference is not None:
        row = context.refer(reference.id, NSG, "nsg", target="networkSecurityGroup.id")
        context.new.properties.network_security_group = Reference(id=row.id)


def _complete(context: PutContext[NetworkInterface], subnet: Body) -> None:
    """Fill in what GET shows and no client sets."""
    properties, old = context.new.properties, context.old
    # The domain of the VNet's DNS, as its hosts name it.
    suffix = f"{vnet_spec_id(_vnet_key(subnet))[:8]}.internal.skerry"
    properties.dns_settings = DnsSettings(dns_servers=[], applied_dns_servers=[], internal_domain_name_suffix=suffix)
    properties.enable_accelerated_networking = properties.enable_ip_forwarding = False
    properties.disable_tcp_state_tracking = False
    properties.nic_type, properties.auxiliary_mode, properties.auxiliary_sku = "Standard", "None", "None"
    properties.primary = properties.virtual_machine = properties.hosted_workloads = None
    properties.mac_address = properties.vnet_encryption_supported = properties.allow_port25_out = None
    properties.default_outbound_connectivity_enabled = None
    context.new.kind = "Regular"
    properties.resource_guid = old.properties.resource_guid if old else str(uuid.uuid4())
    properties.provisioning_state = "Succeeded"


def _delete(context: DeleteContext) -> None:
    give_back(context.work, context.service.memory, context.row.key)
    remove_row(context)


TYPES: tuple[AnyType, ...] = (
    ResourceType(NIC, NetworkInterface, _put, _delete, in_use=model.in_use, expand=model.expand),
    EmbeddedType(IP_CONFIGURATION, NIC, "ipConfigurations", IpConfiguration, read_only=True),
)
