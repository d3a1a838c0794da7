"""Public addresses: which are taken, and by what they are used.

A row's link of kind "address" leads to `publicaddresses/<IP>`; a NIC's of kind "public-ip" to the public address's key,
with the ipConfiguration's id as its place.
"""

from collections.abc import Sequence

from skerry.arm.descriptor import Shown
from skerry.arm.errors import BadRequest
from skerry.resources.network.addresses import free_public_address
from skerry.store import Link, ResourceRow, UnitOfWork

_PREFIX = "publicaddresses/"


def allocate(work: UnitOfWork, subscription: str) -> str:
    """A public address that no row has."""

    def is_taken(address: str) -> bool:
        return bool(work.resources.links_to(f"{_PREFIX}{address}", "address"))

    return free_public_address(is_taken, subscription)


def address_link(source: str, address: str) -> Link:
    """The link that keeps others from getting the address."""
    return Link(source, f"{_PREFIX}{address}", "address")


def expand(work: UnitOfWork, shown: Shown) -> None:
    """Show the ipConfiguration that uses the address."""
    links = work.resources.links_to_many((row.key for row, _ in shown), "public-ip")
    for row, body in shown:
        if row.key in links:
            body["properties"]["ipConfiguration"] = {"id": links[row.key][0].place}
        body["properties"]["ipTags"] = []


def in_use(row: ResourceRow, links: Sequence[Link]) -> BadRequest:
    """Azure's refusal to delete an address that is attached."""
    return BadRequest(
        "PublicIPAddressCannotBeDeleted",
        f"Public IP address {row.id} can not be deleted since it is still allocated to resource {links[0].place}. In "
        "order to delete the public IP, disassociate/detach the Public IP address from the resource. To learn how to "
        "do this, see aka.ms/deletepublicip.",
    )
