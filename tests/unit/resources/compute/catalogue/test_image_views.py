"""Image look-ups as az and the SDKs make them."""

from collections.abc import Callable
from typing import Any

import pytest

from skerry.arm.errors import BadRequest, NotFound

Get = Callable[..., Any]
Report = Callable[..., Any]
Image = Callable[..., Any]
PUBLISHERS = "Microsoft.Compute/locations/westus/publishers"
OFFERS = f"{PUBLISHERS}/debian/ArtifactTypes/VMImage/offers"
SKUS = f"{OFFERS}/Debian-12/skus"
VERSIONS = f"{SKUS}/12-GEN2/versions"
ID = "/Subscriptions/sub/Providers/Microsoft.Compute/Locations/westus"


def names(listed: Any) -> list[str]:
    assert isinstance(listed, list), "image look-ups answer bare arrays"
    return [entry["name"] for entry in listed]


@pytest.fixture(autouse=True)
def images(report: Report, image: Image) -> None:
    """Two versions of Debian 12, one with an alias, and an imported image."""
    report(
        image("old", version="0.9.1"),
        image("new", version="0.10.1", aliases=("Canonical:jammy:22_04:latest", "A:b:c:1.2.3")),
        image("mine", publisher="local", offer="mine", sku="default", version="1.0.0", generation="V1"),
    )


def test_publishers_of_images_and_aliases_are_listed(get: Get) -> None:
    listed = get(PUBLISHERS)
    assert names(listed) == ["A", "Canonical", "Debian", "local"]
    assert listed[2] == {"location": "westus", "name": "Debian", "id": f"{ID}/Publishers/Debian"}


def test_offers_and_skus_lead_on(get: Get) -> None:
    assert names(get(OFFERS)) == ["debian-12"]
    assert names(get(SKUS)) == ["12-gen2"]
    assert get(SKUS)[0]["id"] == f"{ID}/Publishers/debian/ArtifactTypes/VMImage/Offers/Debian-12/Skus/12-gen2"


def test_versions_have_no_properties_unless_asked_for(get: Get) -> None:
    identifier = f"{ID}/Publishers/Debian/ArtifactTypes/VMImage/Offers/debian-12/Skus/12-gen2/Versions"
    assert get(VERSIONS) == [
        {"location": "westus", "name": "0.9.1", "id": f"{identifier}/0.9.1"},
        {"location": "westus", "name": "0.10.1", "id": f"{identifier}/0.10.1"},
    ]


def test_the_newest_version_can_be_asked_for(get: Get) -> None:
    query = {"$expand": "properties", "$orderby": "name desc", "$top": "1"}
    listed = get(VERSIONS, query)
    assert names(listed) == ["0.10.1"]
    assert listed[0] == get(f"{VERSIONS}/0.10.1") == get(f"{VERSIONS}/latest")


def test_a_version_says_what_az_asks_of_it(get: Get) -> None:
    properties = get(f"{PUBLISHERS}/LOCAL/artifacttypes/vmimage/offers/mine/skus/default/versions/1.0.0")["properties"]
    assert properties["hyperVGeneration"] == "V1"
    assert properties["architecture"] == "x64"
    assert properties["osDiskImage"]["operatingSystem"] == "Linux"
    assert properties["imageDeprecationStatus"] == {"imageState": "Active"}
    assert properties["dataDiskImages"] == []
    assert "plan" not in properties
    # az would ask for Trusted Launch, which VMs here don't have, if the image had a SecurityType.
    assert "SecurityType" not in {feature["name"] for feature in properties["features"]}


def test_an_alias_is_listed_with_a_version_that_exists(get: Get) -> None:
    jammy = f"{PUBLISHERS}/canonical/artifacttypes/vmimage/offers/jammy/skus/22_04/versions"
    assert names(get(jammy)) == ["0.10.1"]
    assert get(f"{jammy}/0.10.1")["name"] == "0.10.1"
    assert names(get(f"{PUBLISHERS}/a/artifacttypes/vmimage/offers/b/skus/c/versions")) == ["1.2.3"]


@pytest.mark.parametrize(
    "path, urn",
    [
        (f"{PUBLISHERS}/Nobody/artifacttypes/vmimage/offers", "Nobody:OFFER:SKU:latest"),
        (f"{OFFERS}/debian-9/skus", "debian:debian-9:SKU:latest"),
        (f"{SKUS}/9/versions", "debian:Debian-12:9:latest"),
    ],
)
def test_what_is_not_here_is_not_found_and_the_way_to_it_shown(get: Get, path: str, urn: str) -> None:
    with pytest.raises(NotFound) as refusal:
        get(path)
    assert refusal.value.code == "NotFound"
    assert refusal.value.message.startswith(f"Artifact: VMImage was not found: {urn} is not here.")
    assert "skerry image" in refusal.value.message


@pytest.mark.parametrize("query", [{"$top": "0"}, {"$top": "-1"}, {"$top": "x"}, {"$top": "²"}, {"$orderby": "date"}])
def test_a_bad_query_is_refused(get: Get, query: dict[str, str]) -> None:
    with pytest.raises(BadRequest) as refusal:
        get(VERSIONS, query)
    assert refusal.value.detail.target in query
