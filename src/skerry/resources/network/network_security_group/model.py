"""Who uses a network security group: links of kind "nsg" from NICs, and from VNets with the subnet's id as place."""

from collections.abc import Sequence

from skerry.arm.descriptor import Shown
from skerry.arm.errors import BadRequest
from skerry.resources.network.shared import references, stamp
from skerry.resources.network.spec import vnet_of
from skerry.store import Link, ResourceRow, UnitOfWork


def expand(work: UnitOfWork, shown: Shown) -> None:
    """Show the NICs and subnets that use the group."""
    links = work.resources.links_to_many((row.key for row, _ in shown), "nsg")
    nics = work.resources.get_many(link.source for found in links.values() for link in found if not link.place)
    for row, body in shown:
        users, properties = links.get(row.key, []), body["properties"]
        using = sorted({link.source for link in users if not link.place} & nics.keys())
        subnets = [link.place for link in users if link.place]
        if using:
            properties["networkInterfaces"] = references(nics[key].id for key in using)
        if subnets:
            properties["subnets"] = references(subnets)
        stamp(properties["securityRules"], row.etag)
        stamp(properties["defaultSecurityRules"], row.etag)


def vnets(work: UnitOfWork, key: str) -> list[str]:
    """The keys of the VNets whose traffic the group filters."""
    links = work.resources.links_to(key, "nsg")
    return sorted({link.source if link.place else vnet_of(work, link.source) for link in links})


def in_use(row: ResourceRow, links: Sequence[Link]) -> BadRequest:
    """Azure's refusal to delete a group that is used."""
    users = ", ".join(link.place or link.source for link in links)
    return BadRequest(
        "InUseNetworkSecurityGroupCannotBeDeleted",
        f"Network security group {row.id} cannot be deleted because it is in use by the following resources: {users}. "
        "In order to delete the Network security group, remove the association with the resource(s). To learn how to "
        "do this, see aka.ms/deletensg.",
    )
