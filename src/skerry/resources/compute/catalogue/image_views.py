"""Image look-ups: publishers → offers → skus → versions → one version, of what is here. Bare JSON arrays.

Source: https://learn.microsoft.com/rest/api/compute/virtual-machine-images.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from skerry.arm.descriptor import ViewContext
from skerry.arm.errors import BadRequest, NotFound
from skerry.resources.compute.catalogue.images import LATEST, Entry, entries, how_to_bring
from skerry.resources.compute.catalogue.location import location_of

# How Azure spells the parts of an image's id.
_ID = ("Publishers", "ArtifactTypes/VMImage/Offers", "Skus", "Versions")
_URN = {"publisher": "PUBLISHER", "offer": "OFFER", "sku": "SKU", "version": LATEST}


def publishers_view(context: ViewContext) -> list[dict[str, Any]]:
    """GET publishers."""
    return _names(context, entries(context.work), lambda entry: entry.publisher)


def offers_view(context: ViewContext) -> list[dict[str, Any]]:
    """GET publishers/{publisher}/artifacttypes/vmimage/offers."""
    return _names(context, _below(context), lambda entry: entry.offer)


def skus_view(context: ViewContext) -> list[dict[str, Any]]:
    """GET …/offers/{offer}/skus."""
    return _names(context, _below(context), lambda entry: entry.sku)


def versions_view(context: ViewContext) -> list[dict[str, Any]]:
    """GET …/skus/{sku}/versions, with `$top`, `$orderby=name [asc|desc]` and `$expand=properties…`."""
    location = location_of(context, "locations/publishers")
    found = {entry.version: entry for entry in _below(context)}  # of two under one name the newer one counts
    ordered = sorted(found.values(), key=Entry.order, reverse=_descending(context))
    expand = "$expand" in context.query
    return [_version(context, location, entry, expand=expand) for entry in ordered[: _top(context)]]


def version_view(context: ViewContext) -> dict[str, Any]:
    """GET …/versions/{version}; `latest` is the newest one."""
    location = location_of(context, "locations/publishers")
    wanted = context.path["version"].lower()
    found = [e for e in _below(context) if wanted in (LATEST, e.version.lower())]
    if not found:
        raise _not_found(context)
    return _version(context, location, found[-1], expand=True)


def _below(context: ViewContext) -> Sequence[Entry]:
    """The entries that the path names so far. Raises NotFound if there is none."""
    named = {k: v.lower() for k, v in context.path.items() if k in ("publisher", "offer", "sku")}
    found = [e for e in entries(context.work) if all(getattr(e, k).lower() == v for k, v in named.items())]
    if not found:
        raise _not_found(context)
    return found


def _not_found(context: ViewContext) -> NotFound:
    """Parts of the URN that the path doesn't have yet stand in capitals in the commands."""
    urn = ":".join(context.path.get(part, default) for part, default in _URN.items())
    return NotFound(
        "NotFound",
        f"Artifact: VMImage was not found: {urn} is not here. {how_to_bring(context.work, urn)}",
    )


def _names(context: ViewContext, found: Iterable[Entry], part: Callable[[Entry], str]) -> list[dict[str, Any]]:
    location = location_of(context, "locations/publishers")
    unique = {part(entry).lower(): part(entry) for entry in found}
    path = [context.path[name] for name in ("publisher", "offer") if name in context.path]
    return [
        {"location": location, "name": name, "id": _identifier(context, location, [*path, name])}
        for name in unique.values()
    ]


def _identifier(context: ViewContext, location: str, parts: Sequence[str]) -> str:
    named = "/".join(f"{kind}/{part}" for kind, part in zip(_ID, parts, strict=False))
    return f"/Subscriptions/{context.subscription}/Providers/Microsoft.Compute/Locations/{location}/{named}"


def _version(context: ViewContext, location: str, entry: Entry, *, expand: bool) -> dict[str, Any]:
    parts = [entry.publisher, entry.offer, entry.sku, entry.version]
    view = {"location": location, "name": entry.version, "id": _identifier(context, location, parts)}
    return {**view, "properties": _properties(entry)} if expand else view


def _properties(entry: Entry) -> dict[str, Any]:
    return {
        "hyperVGeneration": entry.image.generation,
        "architecture": entry.image.architecture,
        "osDiskImage": {"operatingSystem": entry.image.os_type, "sizeInBytes": entry.image.size_bytes},
        "dataDiskImages": [],
        "automaticOSUpgradeProperties": {"automaticOSUpgradeSupported": False},
        "features": [
            {"name": "IsAcceleratedNetworkSupported", "value": "False"},
            {"name": "DiskControllerTypes", "value": "SCSI"},
            {"name": "IsHibernateSupported", "value": "False"},
        ],
        "imageDeprecationStatus": {"imageState": "Active"},
    }


def _top(context: ViewContext) -> int | None:
    text = context.query.get("$top")
    return None if text is None else int(text)


def _descending(context: ViewContext) -> bool:
    words = context.query.get("$orderby", "name").lower().split()
    if words not in (["name"], ["name", "asc"], ["name", "desc"]):
        raise BadRequest(
            "InvalidParameter", "Only 'name', 'name asc' and 'name desc' can be $orderby.", target="$orderby"
        )
    return words[-1] == "desc"
