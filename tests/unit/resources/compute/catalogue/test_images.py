"""From URNs to images, and the alias document."""

from collections.abc import Callable

import pytest

from skerry.arm.errors import BadRequest, NotFound
from skerry.hostspec import ImageObserved
from skerry.imagebuilder import RECIPES
from skerry.resources.compute.catalogue.images import (
    BUILDABLE,
    alias_document,
    how_to_bring,
    known_urn,
    resolve,
    resolve_urn,
)
from skerry.store import UnitOfWork

Report = Callable[..., UnitOfWork]
Image = Callable[..., ImageObserved]
JAMMY = "Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2"


def test_a_urn_matches_without_case(report: Report, image: Image) -> None:
    work = report(image())
    assert resolve(work, "debian", "DEBIAN-12", "12-Gen2", "Latest").id == "debian-12-1"


def test_latest_is_the_highest_version_by_number(report: Report, image: Image) -> None:
    work = report(image("old", version="0.9.1"), image("new", version="0.10.0"), image("odd", version="0.x.1"))
    assert resolve(work, "Debian", "debian-12", "12-gen2", "latest").id == "new"
    assert resolve(work, "Debian", "debian-12", "12-gen2", "0.9.1").id == "old"


def test_an_alias_leads_to_its_image(report: Report, image: Image) -> None:
    work = report(image(aliases=(f"{JAMMY}:latest", "A:b:c:1.2.3")))
    assert resolve_urn(work, f"{JAMMY.lower()}:latest").id == "debian-12-1"
    assert resolve_urn(work, "a:B:c:1.2.3").id == "debian-12-1"
    assert resolve_urn(work, f"{JAMMY}:0.20260101.1").id == "debian-12-1"
    with pytest.raises(NotFound):
        resolve_urn(work, f"{JAMMY}:22.04.202401010")


def test_an_alias_for_latest_goes_before_the_images_own_versions(report: Report, image: Image) -> None:
    mine = image("mine", publisher="local", offer="mine", version="0.1.0", aliases=("Debian:debian-12:12-gen2:latest",))
    assert resolve_urn(report(image(), mine), "Debian:debian-12:12-gen2:latest").id == "mine"


def test_a_missing_image_is_refused_with_the_commands_that_bring_it(report: Report, image: Image) -> None:
    with pytest.raises(NotFound) as refusal:
        resolve_urn(report(image()), f"{JAMMY}:latest")
    assert (refusal.value.code, refusal.value.detail.target) == ("PlatformImageNotFound", "imageReference")
    for part in (
        f"The platform image '{JAMMY}:latest' is not available.",
        f"skerry image alias {JAMMY}:latest Debian12",
        "skerry image import FILE --name NAME",
    ):
        assert part in refusal.value.message


def test_a_missing_image_that_can_be_built_is_refused_with_the_command(report: Report, image: Image) -> None:
    with pytest.raises(NotFound, match=r"Build it with: skerry image build debian-13$"):
        resolve_urn(report(image()), "debian:Debian-13:13-gen2:latest")


def test_without_any_image_the_way_to_one_is_shown(work: UnitOfWork) -> None:
    hint = how_to_bring(work, known_urn("ubuntu2204"))
    assert "skerry image build debian-12" in hint
    assert f"skerry image alias {JAMMY}:latest NAME" in hint


def test_what_is_called_buildable_is_what_the_recipes_make() -> None:
    made = {f"{r.publisher}:{r.offer}:{r.sku}".lower(): r.name for r in RECIPES.values()}
    assert made == BUILDABLE
    for recipe in RECIPES.values():
        assert known_urn(recipe.alias) == f"{recipe.publisher}:{recipe.offer}:{recipe.sku}:latest"


@pytest.mark.parametrize("urn", ["Debian12", "a:b:c", "a:b:c:d:e", "a::c:d", ""])
def test_another_form_of_a_urn_is_refused(work: UnitOfWork, urn: str) -> None:
    with pytest.raises(BadRequest, match="publisher:offer:sku:version"):
        resolve_urn(work, urn)


def test_the_alias_document_names_what_is_here(report: Report, image: Image) -> None:
    imported = image("mine", publisher="local", offer="mine", sku="default", alias="", architecture="Arm64")
    document = alias_document(report(image(aliases=(f"{JAMMY}:latest", "A:b:c:1.2.3")), imported))
    assert document["outputs"]["aliases"] == {
        "type": "object",
        "value": {
            "Linux": {
                "Ubuntu2204": {
                    "publisher": "Canonical",
                    "offer": "0001-com-ubuntu-server-jammy",
                    "sku": "22_04-lts-gen2",
                    "version": "latest",
                    "architecture": "x64",
                },
                "Debian12": {
                    "publisher": "Debian",
                    "offer": "debian-12",
                    "sku": "12-gen2",
                    "version": "latest",
                    "architecture": "x64",
                },
                "mine": {
                    "publisher": "local",
                    "offer": "mine",
                    "sku": "default",
                    "version": "latest",
                    "architecture": "Arm64",
                },
            },
            "Windows": {},
        },
    }


def test_the_alias_document_without_images_is_still_whole(work: UnitOfWork) -> None:
    document = alias_document(work)
    assert list(document) == ["$schema", "contentVersion", "parameters", "variables", "resources", "outputs"]
    assert document["outputs"]["aliases"]["value"] == {"Linux": {}, "Windows": {}}
