"""Microsoft.Network/publicIPAddresses: loopback addresses of this machine that lead to a NIC.

The address is given out at creation and kept until the resource is deleted; of a Dynamic one too, which on Azure has
none while it isn't attached.
"""

import uuid

from skerry.arm.descriptor import AnyType, PutContext, ResourceType
from skerry.resources.network.public_ip_address import model
from skerry.resources.network.public_ip_address.wire import PublicIpAddress, PublicIpAddressProperties, keep, validate
from skerry.resources.network.shared import PUBLIC_IP


def _put(context: PutContext[PublicIpAddress]) -> None:
    """Nothing that can change here reaches a host: neither address nor SKU does."""
    new, old = context.new, context.old
    properties = new.properties = new.properties or PublicIpAddressProperties()
    before = old.properties if old else None
    if old is not None:
        keep(old, new, properties)
    validate(new, properties)
    properties.ip_address = before.ip_address if before else model.allocate(context.work, context.id.subscription)
    properties.resource_guid = before.resource_guid if before else str(uuid.uuid4())
    context.links.append(model.address_link(context.row.key, properties.ip_address or ""))


TYPES: tuple[AnyType, ...] = (ResourceType(PUBLIC_IP, PublicIpAddress, _put, in_use=model.in_use, expand=model.expand),)
