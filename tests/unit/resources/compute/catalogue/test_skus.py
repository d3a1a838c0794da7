"""Lists of sizes."""

from collections.abc import Callable
from typing import Any

import pytest

from skerry.arm.errors import BadRequest
from skerry.arm.locations import DISPLAY_NAMES
from skerry.resources.compute.catalogue.sizes import SIZES

Get = Callable[..., Any]


@pytest.mark.parametrize("location", ["local", "westus", "West US"])
def test_every_location_lists_all_sizes(get: Get, location: str) -> None:
    listed = get(f"Microsoft.Compute/locations/{location}/vmSizes")["value"]
    assert len(listed) == len(SIZES)
    assert listed[0] == {
        "name": "Standard_B1ls",
        "numberOfCores": 1,
        "osDiskSizeInMB": 1047552,
        "resourceDiskSizeInMB": 0,
        "memoryInMB": 512,
        "maxDataDiskCount": 2,
    }


@pytest.mark.parametrize("path", ["vmSizes", "usages", "publishers", "publishers/Debian/artifacttypes/vmimage/offers"])
def test_an_unknown_location_is_refused(
    get: Get, report: Callable[..., Any], image: Callable[..., Any], path: str
) -> None:
    report(image())
    with pytest.raises(BadRequest, match="No registered resource provider found for location 'moon'") as refusal:
        get(f"Microsoft.Compute/locations/moon/{path}")
    assert refusal.value.code == "NoRegisteredProviderFound"


def test_a_filter_names_one_location(get: Get) -> None:
    listed = get("Microsoft.Compute/skus", {"$filter": "location eq 'West US'"})["value"]
    assert len(listed) == len(SIZES)
    size = next(entry for entry in listed if entry["name"] == "Standard_D2s_v5")
    capabilities = {c["name"]: c["value"] for c in size.pop("capabilities")}
    assert size == {
        "resourceType": "virtualMachines",
        "name": "Standard_D2s_v5",
        "tier": "Standard",
        "size": "D2s_v5",
        "family": "standardDSv5Family",
        "locations": ["westus"],
        "locationInfo": [{"location": "westus", "zones": ["1", "2", "3"], "zoneDetails": []}],
        "restrictions": [],
    }
    assert (
        capabilities.items()
        >= {
            "vCPUs": "2",
            "MemoryGB": "8",
            "MaxDataDiskCount": "4",
            "MaxNetworkInterfaces": "2",
            "HyperVGenerations": "V1,V2",
            "CpuArchitectureType": "x64",
            "PremiumIO": "True",
            "AcceleratedNetworkingEnabled": "False",
        }.items()
    )


def test_half_a_gib_is_written_as_azure_does(get: Get) -> None:
    listed = get("Microsoft.Compute/skus", {"$filter": "location eq 'local'"})["value"]
    assert {"name": "MemoryGB", "value": "0.5"} in listed[0]["capabilities"]


def test_without_a_filter_every_size_is_listed_for_every_location(get: Get) -> None:
    listed = get("Microsoft.Compute/skus")["value"]
    where = [name for entry in listed if entry["name"] == "Standard_B1s" for name in entry["locations"]]
    assert sorted(where) == sorted(DISPLAY_NAMES)
    assert next(entry for entry in listed if entry["name"] == "Standard_B1s")["locations"] == ["local"]


@pytest.mark.parametrize(
    "text, code",
    [
        ("location eq 'moon'", "NoRegisteredProviderFound"),
        ("name eq 'x'", "InvalidParameter"),
        ("location", "InvalidParameter"),
    ],
)
def test_another_filter_is_refused(get: Get, text: str, code: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        get("Microsoft.Compute/skus", {"$filter": text})
    assert refusal.value.code == code
