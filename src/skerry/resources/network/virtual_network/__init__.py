"""Microsoft.Network/virtualNetworks and the subnets inside them."""

import uuid

from skerry.arm.descriptor import AnyType, EmbeddedType, PutContext, Query, Reading, ResourceType
from skerry.resources.network.shared import NSG, SUBNET, VNET, Address, Reference, adopt
from skerry.resources.network.steps import apply_change
from skerry.resources.network.virtual_network import model
from skerry.resources.network.virtual_network.wire import Availability, Subnet, SubnetUsages, VirtualNetwork, validate


def _put(context: PutContext[VirtualNetwork]) -> None:
    new, old = context.new, context.old
    properties, before = new.properties, old.properties if old else None
    if properties.subnets is None:
        # Azure keeps the subnets of a network that is put without the member; only an empty list removes them.
        properties.subnets = before.subnets if before else []
    adopt(properties.subnets or [], new.id, SUBNET, (before.subnets or []) if before else [])
    validate(new)
    properties.resource_guid = before.resource_guid if before else str(uuid.uuid4())
    if old is not None:
        model.check_used_subnets(context.work, old, new)
    for subnet in properties.subnets or []:
        _refer_to_group(context, subnet)
    apply_change(context, [context.row.key])


def _refer_to_group(context: PutContext[VirtualNetwork], subnet: Subnet) -> None:
    reference = subnet.properties.network_security_group
    if reference is not None:
        row = context.refer(reference.id, NSG, "nsg", target="subnets.networkSecurityGroup.id", place=subnet.id or "")
        subnet.properties.network_security_group = Reference(id=row.id)


_ADDRESS = Query("ipAddress", Address, "the IPv4 address that is asked about")
TYPES: tuple[AnyType, ...] = (
    ResourceType(
        VNET,
        VirtualNetwork,
        _put,
        expand=model.expand,
        brief=False,
        views={
            "CheckIPAddressAvailability": Reading(model.check_address, Availability, (_ADDRESS,)),
            "usages": Reading(model.usages, SubnetUsages),
        },
    ),
    EmbeddedType(SUBNET, VNET, "subnets", Subnet, model.subnet_in_use, model.expand_subnets),
)
