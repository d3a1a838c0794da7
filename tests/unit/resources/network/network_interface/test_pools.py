"""The lowest free address, whatever was given out and back."""

from ipaddress import IPv4Network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from skerry.resources.network.addresses import free_addresses
from skerry.resources.network.network_interface.pools import give_back, lowest_free
from skerry.resources.network.virtual_network.model import address_key
from skerry.store import Link

NETWORK = IPv4Network("10.0.0.0/28")  # eleven addresses
SUBNET = "net/subnets/s"


class Links:
    """The links of NICs to addresses; counts how often all are read."""

    def __init__(self) -> None:
        self.by_nic: dict[str, str] = {}
        self.scans = 0

    @property
    def resources(self) -> "Links":
        """A unit of work and its resources in one."""
        return self

    def links_to(self, target: str, kind: str) -> list[Link]:
        """Who has an address."""
        return [Link(nic, target, kind) for nic, at in self.by_nic.items() if address_key(SUBNET, at) == target]

    def links_from(self, nic: str, kind: str) -> list[Link]:
        """What a NIC has."""
        return [Link(nic, address_key(SUBNET, self.by_nic[nic]), kind)] if nic in self.by_nic else []

    def links_under(self, prefix: str, kind: str) -> list[Link]:
        """All that are taken."""
        self.scans += 1
        return [Link(nic, prefix + at, kind) for nic, at in self.by_nic.items()]


@given(st.lists(st.tuples(st.sampled_from(["make", "drop", "static", "elsewhere"]), st.integers(4, 14))))
def test_it_is_the_lowest_that_is_free(orders: list[tuple[str, int]]) -> None:
    links: Any = Links()
    memory: dict[Any, Any] = {}
    unseen = False  # another process gave one back
    for number, (order, which) in enumerate(orders):
        address = f"10.0.0.{which}"
        nic = next((nic for nic, at in links.by_nic.items() if at == address), None)
        if order == "make":
            found = lowest_free(links, memory, SUBNET, NETWORK)
            free = list(free_addresses(NETWORK, links.by_nic.values()))
            assert found in free if unseen and free else found == next(iter(free), None)
            if found:
                links.by_nic[f"n{number}"] = found
        elif order == "static" and nic is None:
            links.by_nic[f"n{number}"] = address
        elif nic is not None and order in ("drop", "elsewhere"):
            if order == "drop":
                give_back(links, memory, nic)
            unseen = unseen or order == "elsewhere"
            del links.by_nic[nic]


def test_all_are_read_once_only() -> None:
    links: Any = Links()
    memory: dict[Any, Any] = {}
    for number in range(11):
        found = lowest_free(links, memory, SUBNET, NETWORK)
        assert found == f"10.0.0.{4 + number}"
        links.by_nic[f"n{number}"] = found
    assert links.scans == 1
    give_back(links, memory, "n3", keep=address_key(SUBNET, "10.0.0.7"))
    assert lowest_free(links, memory, SUBNET, NETWORK) is None


def test_a_subnet_made_anew_begins_anew() -> None:
    links: Any = Links()
    memory: dict[Any, Any] = {}
    assert lowest_free(links, memory, SUBNET, NETWORK) == "10.0.0.4"
    assert lowest_free(links, memory, SUBNET, IPv4Network("10.1.0.0/28")) == "10.1.0.4"
