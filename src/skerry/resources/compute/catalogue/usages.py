"""`usages`: what is used of each quota, and the check that a new VM stays within them.

vCPUs count while a VM is allocated; a deallocated one has given them back.
Source: https://learn.microsoft.com/rest/api/compute/usage/list.
"""

import time
from collections import Counter
from typing import Any

from skerry.arm.descriptor import ViewContext
from skerry.arm.errors import Conflict
from skerry.arm.rows import body_of
from skerry.resources.compute.catalogue.location import location_of
from skerry.resources.compute.catalogue.sizes import FAMILIES, Size, get_size
from skerry.store import ResourceRow, UnitOfWork

VM = "microsoft.compute/virtualmachines"
SUM_SECONDS = 1.0  # how old the sum may be that is added to, far from the limit
VCPU_LIMIT = 1_000_000  # of one family, and of all together
UNLIMITED = 2**31 - 1
_NETWORK = (
    ("VirtualNetworks", "Virtual Networks", "microsoft.network/virtualnetworks"),
    ("NetworkSecurityGroups", "Network Security Groups", "microsoft.network/networksecuritygroups"),
    ("PublicIPAddresses", "Public IP Addresses", "microsoft.network/publicipaddresses"),
    ("NetworkInterfaces", "Network Interfaces", "microsoft.network/networkinterfaces"),
)


def compute_view(context: ViewContext) -> dict[str, Any]:
    """GET Microsoft.Compute/locations/{location}/usages."""
    location_of(context, "locations/usages")
    used = used_vcpus(context.work)
    vms = context.work.resources.count(VM)
    return {
        "value": [
            _usage("availabilitySets", "Availability Sets", 0, UNLIMITED),
            _usage("cores", "Total Regional vCPUs", used.total(), VCPU_LIMIT),
            _usage("virtualMachines", "Virtual Machines", vms, UNLIMITED),
            *(_usage(f.name, f.label, used[f.name], VCPU_LIMIT) for f in FAMILIES.values()),
        ]
    }


def network_view(context: ViewContext) -> dict[str, Any]:
    """GET Microsoft.Network/locations/{location}/usages."""
    location = location_of(context, "locations/usages")
    base = f"/subscriptions/{context.subscription}/providers/Microsoft.Network/locations/{location}/usages"
    count = context.work.resources.count
    return {
        "value": [
            {"id": f"{base}/{name}", **_usage(name, label, count(kind), UNLIMITED)} for name, label, kind in _NETWORK
        ]
    }


def _usage(name: str, label: str, used: int, limit: int) -> dict[str, Any]:
    return {"unit": "Count", "currentValue": used, "limit": limit, "name": {"value": name, "localizedValue": label}}


def used_vcpus(work: UnitOfWork) -> Counter[str]:
    """The vCPUs of allocated VMs, by family name."""
    used: Counter[str] = Counter()
    for row in work.resources.list(type=VM):
        if row.private.get("host"):
            size = _size_of(row)
            used[size.family.name] += size.vcpus
    return used


def _at_most(work: UnitOfWork, memory: dict[Any, Any], more: int) -> int:
    """The vCPUs of all VMs if these come, or some more than that: they are summed up at times, and near the limit."""
    until, used = memory.get("vcpus", (0.0, 0))
    if time.monotonic() > until or used + more > VCPU_LIMIT:
        until, used = time.monotonic() + SUM_SECONDS, work.hosts.used_vcpus()
    memory["vcpus"] = until, used + more
    return int(used + more)


def _size_of(row: ResourceRow) -> Size:
    return get_size(body_of(row)["properties"]["hardwareProfile"]["vmSize"])


def check_quota(
    work: UnitOfWork, memory: dict[Any, Any], size: Size, location: str, replaces: Size | None = None
) -> None:
    """Raises Conflict `OperationNotAllowed`, as Azure does, if one more VM of this size exceeds a quota.

    `replaces`: the present size of an allocated VM that is being resized.
    """
    if _at_most(work, memory, size.vcpus) <= VCPU_LIMIT:
        return  # no family has more than all together
    used = used_vcpus(work)
    if replaces is not None:
        used[replaces.family.name] -= replaces.vcpus
    for name, current in (
        (size.family.label.removesuffix(" vCPUs"), used[size.family.name]),
        ("Total Regional", used.total()),
    ):
        if current + size.vcpus > VCPU_LIMIT:
            raise Conflict(
                "OperationNotAllowed",
                f"Operation could not be completed as it results in exceeding approved {name} Cores quota. Additional "
                f"details - Deployment Model: Resource Manager, Location: {location}, Current Limit: {VCPU_LIMIT}, "
                f"Current Usage: {current}, Additional Required: {size.vcpus}, (Minimum) New Limit Required: "
                f"{current + size.vcpus}. Deallocate VMs that aren't needed, or choose a smaller size.",
            )
