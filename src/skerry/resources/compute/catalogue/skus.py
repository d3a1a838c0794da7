"""`vmSizes` and `skus`: the sizes as clients list them.

Sources: https://learn.microsoft.com/rest/api/compute/virtual-machine-sizes/list,
https://learn.microsoft.com/rest/api/compute/resource-skus/list.
"""

import re
from collections.abc import Sequence
from typing import Any

from skerry.arm.descriptor import ViewContext
from skerry.arm.errors import BadRequest
from skerry.arm.locations import DISPLAY_NAMES, LOCAL, normalise
from skerry.resources.compute.catalogue import location
from skerry.resources.compute.catalogue.sizes import SIZES, Size
from skerry.resources.compute.catalogue.wire import SizeList, VmSize

MIB = 1 << 20
ZONES = ["1", "2", "3"]
_FILTER = re.compile(r"\s*location\s+eq\s+'([^']*)'\s*", re.IGNORECASE)


def list_sizes() -> SizeList:
    """What every list of sizes answers: of a location, of a VM that can be resized, of an availability set."""
    return {"value": [_size_view(size) for size in SIZES.values()]}


def sizes_view(context: ViewContext) -> SizeList:
    """GET locations/{location}/vmSizes."""
    location.location_of(context, "locations/vmSizes")
    return list_sizes()


def _size_view(size: Size) -> VmSize:
    return {
        "name": size.name,
        "numberOfCores": size.vcpus,
        "osDiskSizeInMB": size.os_disk_max_bytes // MIB,
        "resourceDiskSizeInMB": 0,
        "memoryInMB": size.memory_bytes // MIB,
        "maxDataDiskCount": size.max_data_disks,
    }


def skus_view(context: ViewContext) -> dict[str, Any]:
    """GET skus, with `$filter=location eq '…'` those of one location.

    Without it a size comes twice, for `local` and for the regions' names: az shows one location as a short column.
    """
    wanted = _filtered(context.query.get("$filter", ""))
    if wanted is not None:
        return {"value": [_sku_view(size, [wanted]) for size in SIZES.values()]}
    regions = [name for name in DISPLAY_NAMES if name != LOCAL]
    return {"value": [_sku_view(size, where) for where in ([LOCAL], regions) for size in SIZES.values()]}


def _filtered(text: str) -> str | None:
    if not text.strip():
        return None
    match = _FILTER.fullmatch(text)
    if match is None:
        raise BadRequest("InvalidParameter", f"The $filter '{text}' is not valid: use location eq 'NAME'.")
    location.check(match[1], "skus")
    return normalise(match[1])


def _sku_view(size: Size, locations: Sequence[str]) -> dict[str, Any]:
    return {
        "resourceType": "virtualMachines",
        "name": size.name,
        "tier": "Standard",
        "size": size.name.removeprefix("Standard_"),
        "family": size.family.name,
        "locations": locations,
        "locationInfo": [{"location": name, "zones": ZONES, "zoneDetails": []} for name in locations],
        "capabilities": [{"name": name, "value": value} for name, value in _capabilities(size).items()],
        "restrictions": [],
    }


def _capabilities(size: Size) -> dict[str, str]:
    return {
        "MaxResourceVolumeMB": "0",
        "OSVhdSizeMB": str(size.os_disk_max_bytes // MIB),
        "vCPUs": str(size.vcpus),
        "MemoryPreservingMaintenanceSupported": "False",
        "HyperVGenerations": "V1,V2",
        "MemoryGB": f"{size.memory_gib:g}",
        "MaxDataDiskCount": str(size.max_data_disks),
        "CpuArchitectureType": "x64",
        "LowPriorityCapable": "False",
        "PremiumIO": str(size.family.premium),
        "VMDeploymentTypes": "IaaS",
        "vCPUsAvailable": str(size.vcpus),
        "vCPUsPerCore": "1",
        "EphemeralOSDiskSupported": "False",
        "EncryptionAtHostSupported": "False",
        "CapacityReservationSupported": "False",
        "TrustedLaunchDisabled": "True",
        "AcceleratedNetworkingEnabled": "False",
        "RdmaEnabled": "False",
        "MaxNetworkInterfaces": str(size.max_nics),
    }
