"""Who uses a virtual network's subnets and addresses.

A NIC's link of kind "subnet" leads to its subnet's key, and one of kind "address" to `<subnet key>/addresses/<IP>`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import islice

from skerry.arm.descriptor import ActionContext, Body, Shown
from skerry.arm.errors import ArmError, BadRequest
from skerry.arm.rows import body_of
from skerry.resources.network.addresses import capacity, free_addresses, is_reserved, parse_address
from skerry.resources.network.shared import invalid, references, stamp
from skerry.resources.network.spec import subnet_prefix
from skerry.resources.network.virtual_network.wire import VirtualNetwork, prefix_text
from skerry.store import Link, UnitOfWork


def address_key(subnet_key: str, address: str) -> str:
    """What an "address" link leads to."""
    return f"{subnet_key}/addresses/{address}"


def allocations(work: UnitOfWork, subnet_key: str) -> Mapping[str, Link]:
    """The subnet's addresses that are taken, with the NIC and ipConfiguration that each belongs to."""
    links = work.resources.links_under(f"{subnet_key}/addresses/", "address")
    return {link.target.rpartition("/")[2]: link for link in links}


def subnet_users(work: UnitOfWork, vnet_key: str) -> Mapping[str, list[str]]:
    """By subnet key: the ids of the ipConfigurations in it."""
    users: dict[str, list[str]] = defaultdict(list)
    for link in work.resources.links_under(f"{vnet_key}/subnets/", "subnet"):
        users[link.target].append(link.place)
    return users


def check_used_subnets(work: UnitOfWork, old: VirtualNetwork, new: VirtualNetwork) -> None:
    """Raises BadRequest if a subnet that is in use goes or gets another prefix."""
    users = subnet_users(work, old.id.lower())
    after = {(subnet.id or "").lower(): prefix_text(subnet.properties) for subnet in new.properties.subnets or []}
    for subnet in old.properties.subnets or []:
        key, before = (subnet.id or "").lower(), prefix_text(subnet.properties)
        if not users.get(key):
            continue
        if key not in after:
            raise _in_use(subnet.name or "", users[key])
        if after[key] != before:
            raise BadRequest(
                "InUsePrefixCannotBeDeleted",
                f"IpPrefix {before} on Subnet {subnet.name} has active allocations and cannot be deleted.",
                target="addressPrefix",
            )


def subnet_in_use(key: str, links: Sequence[Link]) -> ArmError:
    """Azure's refusal to delete a subnet that NICs are in."""
    return _in_use(key.rpartition("/")[2], [link.place for link in links])


def _in_use(name: str, users: Sequence[str]) -> BadRequest:
    return BadRequest(
        "InUseSubnetCannotBeDeleted",
        f"Subnet {name} is in use by {', '.join(users)} and cannot be deleted. In order to delete the subnet, delete "
        "all the resources within the subnet. See aka.ms/deletesubnet.",
    )


def expand(work: UnitOfWork, shown: Shown) -> None:
    """Show who is in each subnet, and the features that nobody can use here as empty."""
    expand_subnets(work, [subnet for _, body in shown for subnet in body["properties"]["subnets"]])
    for row, body in shown:
        stamp(body["properties"]["subnets"], row.etag)
        body["properties"]["virtualNetworkPeerings"] = []


def expand_subnets(work: UnitOfWork, subnets: Sequence[Body]) -> None:
    """The same for subnets alone."""
    links = work.resources.links_to_many((subnet["id"].lower() for subnet in subnets), "subnet")
    for subnet in subnets:
        users = [link.place for link in links.get(subnet["id"].lower(), [])]
        if users:
            subnet["properties"]["ipConfigurations"] = references(users)
        subnet["properties"]["delegations"] = []


def check_address(context: ActionContext) -> Body:
    """`CheckIPAddressAvailability`: whether an address is free, and up to five that are."""
    text = context.query.get("ipaddress")
    if not text:
        raise invalid("The query parameter ipAddress is missing.", "ipAddress")
    address = parse_address(text, "ipAddress")
    row = context.resource
    for subnet in body_of(row)["properties"]["subnets"]:
        prefix = IPv4Network(subnet_prefix(subnet["properties"]))
        if address in prefix:
            return _availability(address, prefix, allocations(context.work, subnet["id"].lower()))
    raise BadRequest(
        "PrivateIPAddressNotInAnySubnet",
        f"Private static IP address {address} does not belong to the range of any Subnet in Virtual Network {row.id}.",
        target="ipAddress",
    )


def _availability(address: IPv4Address, subnet: IPv4Network, taken: Mapping[str, Link]) -> Body:
    reserved = is_reserved(address, subnet)
    if not reserved and str(address) not in taken:
        return {"available": True, "isPlatformReserved": False}
    free = list(islice(free_addresses(subnet, taken.keys()), 5))
    return {"available": False, "availableIPAddresses": free, "isPlatformReserved": reserved}


def usages(context: ActionContext) -> Body:
    """How many addresses of each subnet are taken."""
    return {
        "value": [
            {
                "id": subnet["id"],
                "currentValue": len(allocations(context.work, subnet["id"].lower())),
                "limit": capacity(IPv4Network(subnet_prefix(subnet["properties"]))),
                "name": {"localizedValue": "Subnet size and usage", "value": "SubnetSpace"},
                "unit": "Count",
            }
            for subnet in body_of(context.resource)["properties"]["subnets"]
        ]
    }
