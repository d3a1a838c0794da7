"""A NIC's address, MAC and users.

Links from a NIC, all but those to its NSG with its ipConfiguration's id as place: "subnet", "public-ip", "nsg",
"address" (to `<subnet key>/addresses/<IP>`) and "mac" (to `macs/<MAC>`); a VM's of kind "nic" leads to the NIC.
`row.private`: see resources/network/spec.py.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network

from skerry.arm.descriptor import Body, PutContext, Shown
from skerry.arm.errors import BadRequest
from skerry.arm.rows import body_of
from skerry.resources.network.addresses import is_reserved, parse_address
from skerry.resources.network.network_interface.pools import lowest_free
from skerry.resources.network.network_interface.wire import IpConfigurationProperties, NetworkInterface
from skerry.resources.network.shared import stamp
from skerry.resources.network.spec import mac_of, subnet_prefix
from skerry.resources.network.virtual_network.model import address_key
from skerry.store import Link, ResourceRow, UnitOfWork

_TARGET = "ipConfigurations.privateIPAddress"


def choose_address(
    context: PutContext[NetworkInterface], wanted: IpConfigurationProperties, before: str | None, subnet: Body
) -> str:
    """The NIC's private address: the static one asked for, else the one before, else the lowest free one.

    `subnet` is the subnet as it is stored; `before` is None for a NIC that wasn't in it. Raises BadRequest.
    """
    network, key = IPv4Network(subnet_prefix(subnet["properties"])), subnet["id"].lower()
    if wanted.private_ip_allocation_method == "Static":
        return _static(context, wanted.private_ip_address or before, network, key)
    if before is not None:
        return before
    address = lowest_free(context.work, context.service.memory, key, network)
    if address is None:
        raise BadRequest(
            "SubnetIsFull",
            f"Subnet {subnet['name']} with address prefix {network} does not have enough capacity for 1 IP addresses.",
            target="ipConfigurations.subnet",
        )
    return address


def _static(context: PutContext[NetworkInterface], text: str | None, network: IPv4Network, subnet_key: str) -> str:
    if text is None:
        raise BadRequest(
            "PrivateIPAddressMissing",
            f"Resource {context.row.id} has privateIPAllocationMethod Static and no privateIPAddress.",
            target=_TARGET,
        )
    address = parse_address(text, _TARGET)
    _check_in_subnet(address, network)
    links = context.work.resources.links_to(address_key(subnet_key, str(address)), "address")
    used = next((link for link in links if link.source != context.row.key), None)
    if used is not None:
        raise BadRequest(
            "PrivateIPAddressInUse",
            f"IP configuration {context.row.id} is using the private IP address {address} which is already allocated "
            f"to resource {used.place}.",
            target=_TARGET,
        )
    return str(address)


def _check_in_subnet(address: IPv4Address, network: IPv4Network) -> None:
    if address not in network:
        raise BadRequest(
            "PrivateIPAddressNotInSubnet",
            f"Private static IP address {address} does not belong to the range of subnet prefix {network}.",
            target=_TARGET,
        )
    if is_reserved(address, network):
        raise BadRequest(
            "PrivateIPAddressInReservedRange",
            f"Private static IP address {address} falls within reserved IP range of subnet prefix {network}.",
            target=_TARGET,
        )


def expand(work: UnitOfWork, shown: Shown) -> None:
    """Show the VM that uses the NIC, and what is the same for every NIC here."""
    links = work.resources.links_to_many((row.key for row, _ in shown), "nic")
    vms = work.resources.get_many(found[0].source for found in links.values())
    for row, body in shown:
        _show(row, body, vms.get(links[row.key][0].source) if row.key in links else None)


def _show(row: ResourceRow, body: Body, vm: ResourceRow | None) -> None:
    properties = body["properties"]
    if vm is not None:
        properties["virtualMachine"] = {"id": vm.id}
        properties["primary"] = _is_primary(vm, row.key)
    if "mac" in row.private:
        properties["macAddress"] = mac_of(row).replace(":", "-").upper()
    properties |= {"hostedWorkloads": [], "tapConfigurations": [], "vnetEncryptionSupported": False}
    stamp(properties["ipConfigurations"], row.etag)


def _is_primary(vm: ResourceRow, key: str) -> bool:
    nics = body_of(vm)["properties"]["networkProfile"]["networkInterfaces"]
    marked = (nic["id"].lower() for nic in nics if nic.get("properties", {}).get("primary"))
    return len(nics) == 1 or key in marked


def in_use(row: ResourceRow, links: Sequence[Link]) -> BadRequest:
    """Azure's refusal to delete a NIC that a VM has."""
    return BadRequest(
        "NicInUse",
        f"Network Interface {row.id} is used by existing resource {links[0].source}. In order to delete the network "
        "interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.",
    )
