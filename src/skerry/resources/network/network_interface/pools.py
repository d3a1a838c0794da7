"""The lowest free address of a subnet, found without looking at all that are taken.

A process remembers for each subnet the address below which none was free, and those given back since. What it remembers
is only where to look first: an address counts as free when no link leads to it. Another process's releases are found
when there seems to be nothing else left.
"""

from heapq import heappop, heappush
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from skerry.resources.network.addresses import free_addresses
from skerry.resources.network.virtual_network.model import address_key, allocations
from skerry.store import UnitOfWork

Memory = dict[Any, Any]


class _Pool:
    """`frontier`: none was free below it but those in `released`, a heap."""

    def __init__(self, network: IPv4Network, frontier: int) -> None:
        self.network, self.frontier = network, frontier
        self.released: list[int] = []

    def candidate(self) -> int:
        return self.released[0] if self.released else self.frontier

    def skip(self) -> None:
        """The candidate is taken."""
        if self.released:
            heappop(self.released)
        else:
            self.frontier += 1


def lowest_free(work: UnitOfWork, memory: Memory, subnet_key: str, network: IPv4Network) -> str | None:
    """The lowest free address; None when all are taken. It stays free until a link leads to it."""
    place, last = ("addresses", subnet_key), int(network.broadcast_address)
    pool: _Pool | None = memory.get(place)
    while pool is not None and pool.network == network and pool.candidate() < last:
        address = str(IPv4Address(pool.candidate()))
        if not work.resources.links_to(address_key(subnet_key, address), "address"):
            return address
        pool.skip()
    found = next(free_addresses(network, allocations(work, subnet_key).keys()), None)
    memory[place] = _Pool(network, int(IPv4Address(found)) if found else last)
    return found


def give_back(work: UnitOfWork, memory: Memory, nic_key: str, keep: str = "") -> None:
    """The NIC's addresses become free, but for the one with the key `keep`."""
    for link in work.resources.links_from(nic_key, "address"):
        subnet_key, _, address = link.target.rpartition("/addresses/")
        pool: _Pool | None = memory.get(("addresses", subnet_key))
        number = int(IPv4Address(address))
        if pool is not None and link.target != keep and number < pool.frontier:
            heappush(pool.released, number)
