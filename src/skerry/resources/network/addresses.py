"""IPv4 addresses and prefixes as Azure takes and hands them out.

Source: https://learn.microsoft.com/azure/virtual-network/virtual-networks-faq (sizes, reserved addresses)
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network

from skerry.arm.errors import BadRequest
from skerry.resources.network.shared import unsupported

SMALLEST, LARGEST = 29, 8  # prefix lengths of a virtual network
RESERVED_FIRST = 4  # of a subnet: network, gateway, and two of the platform's
PUBLIC_POOL = IPv4Network("127.64.0.0/10")
# Multicast, broadcast, loopback, link-local and the platform's own address can't be in a virtual network.
_FORBIDDEN = [
    IPv4Network(prefix)
    for prefix in ("224.0.0.0/4", "255.255.255.255/32", "127.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32")
]
_CIDR = re.compile(r"[0-9a-fA-F.:]+/[0-9]{1,3}")


def parse_prefix(text: str, owner: str, target: str) -> IPv4Network:
    """An IPv4 CIDR without host bits. `owner` is the id of the resource that has it. Raises BadRequest."""
    try:
        network = ip_network(text, strict=False) if _CIDR.fullmatch(text) else None
    except ValueError:
        network = None
    if network is None:
        raise BadRequest(
            "InvalidAddressPrefixFormat",
            f"Address prefix {text} of resource {owner} is not formatted correctly. It should follow CIDR notation, "
            "for example 10.0.0.0/24.",
            target=target,
        )
    if isinstance(network, IPv6Network):
        raise unsupported(f"Address prefix {text} of resource {owner} is IPv6.", target)
    if str(network.network_address) != text.partition("/")[0]:
        raise BadRequest(
            "InvalidCIDRNotation",
            f"The address prefix {text} in resource {owner} has an invalid CIDR notation. For the given prefix length, "
            f"the address prefix should be {network}.",
            target=target,
        )
    return network


def check_address_space(name: str, space: Sequence[IPv4Network]) -> None:
    """Raises BadRequest for prefixes that a virtual network can't have, or not together."""
    target = "addressSpace.addressPrefixes"
    for index, prefix in enumerate(space):
        reason = next((f"overlaps with {other}" for other in space[:index] if prefix.overlaps(other)), "")
        reason = reason or next((f"overlaps with the reserved {f}" for f in _FORBIDDEN if prefix.overlaps(f)), "")
        if not LARGEST <= prefix.prefixlen <= SMALLEST:
            reason = f"is not between /{LARGEST} and /{SMALLEST}"
        if reason:
            raise BadRequest(
                "NetcfgInvalidVirtualNetworkSite",
                f"Address prefix {prefix} of virtual network '{name}' is not valid: it {reason}.",
                target=target,
            )


def parse_address(text: str, target: str) -> IPv4Address:
    """An IPv4 address. Raises BadRequest."""
    try:
        return IPv4Address(text)
    except ValueError as error:
        raise BadRequest(
            "InvalidIPAddressFormat", f"The IP address '{text}' is not a valid IPv4 address.", target=target
        ) from error


def is_reserved(address: IPv4Address, subnet: IPv4Network) -> bool:
    """Whether the platform keeps this address of the subnet: the first four and the last."""
    return int(address) - int(subnet[0]) < RESERVED_FIRST or address == subnet[-1]


def capacity(subnet: IPv4Network) -> int:
    """How many addresses of a subnet can be given out."""
    return subnet.num_addresses - RESERVED_FIRST - 1


def free_addresses(subnet: IPv4Network, taken: Collection[str]) -> Iterator[str]:
    """The free addresses of a subnet, lowest first."""
    first = int(subnet[RESERVED_FIRST])
    addresses = (str(IPv4Address(number)) for number in range(first, int(subnet[-1])))
    return (address for address in addresses if address not in taken)


def free_public_address(is_taken: Callable[[str], bool], subscription: str) -> str:
    """A free public address, the first one behind a taken one. Raises BadRequest `PublicIPAddressPoolExhausted`.

    Every installation begins elsewhere in the pool, as several on one host share its loopback addresses. It asks for
    some forty addresses at most, however many are taken, until the pool is nearly full.
    """
    block = int.from_bytes(hashlib.sha256(subscription.lower().encode()).digest()[:4], "big") * 256
    size = PUBLIC_POOL.num_addresses

    def address(number: int) -> str:
        return str(PUBLIC_POOL[(block + number) % size])

    taken, free = 0, 1
    while free < size and is_taken(address(free)):
        taken, free = free, free * 2
    if free >= size:
        return _last_public_address(map(address, range(1, size)), is_taken)
    while free - taken > 1:
        middle = (taken + free) // 2
        taken, free = (middle, free) if is_taken(address(middle)) else (taken, middle)
    return address(free)


def _last_public_address(pool: Iterator[str], is_taken: Callable[[str], bool]) -> str:
    for address in pool:
        if not is_taken(address):
            return address
    raise BadRequest("PublicIPAddressPoolExhausted", f"No public address of {PUBLIC_POOL} is free: delete one.")
