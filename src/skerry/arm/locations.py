"""Locations: `local` is this installation; the names of Azure's regions are other names for it.

A region's name is kept and echoed as given, so that existing scripts and templates run unchanged.
"""

from typing import Any

from skerry.arm.errors import BadRequest

LOCAL = "local"
_REGIONS = """
australiacentral=Australia Central;australiacentral2=Australia Central 2;australiaeast=Australia East
australiasoutheast=Australia Southeast;austriaeast=Austria East;belgiumcentral=Belgium Central
brazilsouth=Brazil South;brazilsoutheast=Brazil Southeast;canadacentral=Canada Central;canadaeast=Canada East
centralindia=Central India;centralus=Central US;chilecentral=Chile Central;denmarkeast=Denmark East
eastasia=East Asia;eastus=East US;eastus2=East US 2;francecentral=France Central;francesouth=France South
germanynorth=Germany North;germanywestcentral=Germany West Central;indonesiacentral=Indonesia Central
israelcentral=Israel Central;italynorth=Italy North;japaneast=Japan East;japanwest=Japan West
jioindiacentral=Jio India Central;jioindiawest=Jio India West;koreacentral=Korea Central;koreasouth=Korea South
malaysiawest=Malaysia West;mexicocentral=Mexico Central;newzealandnorth=New Zealand North
northcentralus=North Central US;northeurope=North Europe;norwayeast=Norway East;norwaywest=Norway West
polandcentral=Poland Central;qatarcentral=Qatar Central;southafricanorth=South Africa North
southafricawest=South Africa West;southcentralus=South Central US;southeastasia=Southeast Asia
southindia=South India;spaincentral=Spain Central;swedencentral=Sweden Central;swedensouth=Sweden South
switzerlandnorth=Switzerland North;switzerlandwest=Switzerland West;uaecentral=UAE Central;uaenorth=UAE North
uksouth=UK South;ukwest=UK West;westcentralus=West Central US;westeurope=West Europe;westindia=West India
westus=West US;westus2=West US 2;westus3=West US 3
"""
DISPLAY_NAMES: dict[str, str] = {LOCAL: "Local"} | dict(
    pair.split("=", 1) for line in _REGIONS.split("\n") for pair in line.split(";") if pair
)


def normalise(location: str) -> str:
    """`East US` and `eastus` are one location."""
    return location.replace(" ", "").lower()


def check_location(location: str | None, type_name: str) -> str:
    """The location as given. Raises BadRequest when it is missing or unknown."""
    if not location:
        raise BadRequest(
            "LocationRequired", "The location property is required for this definition.", target="location"
        )
    if normalise(location) not in DISPLAY_NAMES:
        raise BadRequest(
            "LocationNotAvailableForResourceType",
            f"The provided location '{location}' is not available for resource type '{type_name}'. "
            f"Use '{LOCAL}', or the name of an Azure region, which means the same here.",
            target="location",
        )
    return location


def locations_view(subscription: str) -> list[dict[str, Any]]:
    """The entries of `GET /subscriptions/{id}/locations`: `local` first."""
    return [
        {
            "id": f"/subscriptions/{subscription}/locations/{name}",
            "name": name,
            "type": "Region",
            "displayName": display,
            "regionalDisplayName": display,
            "metadata": {"regionType": "Physical", "regionCategory": "Recommended" if name == LOCAL else "Other"},
        }
        for name, display in DISPLAY_NAMES.items()
    ]
