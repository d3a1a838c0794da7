"""From a marketplace URN to an image that is here: its own URN leads to it, and so does every alias.

An alias `publisher:offer:sku:latest` stands in lists with the image's own version: clients turn `latest` into one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skerry.arm.errors import BadRequest, NotFound
from skerry.hostspec import ImageObserved
from skerry.store import UnitOfWork

LATEST = "latest"
# The URNs of what `skerry image build` makes, without version, in lower case.
BUILDABLE = {"debian:debian-12:12-gen2": "debian-12", "debian:debian-13:13-gen2": "debian-13"}
# The short names of what `skerry image build` makes, and az's own (azure-cli, command_modules/vm/_alias.py).
WELL_KNOWN = {
    "Debian12": "Debian:debian-12:12-gen2",
    "Debian13": "Debian:debian-13:13-gen2",
    "Ubuntu2204": "Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2",
    "Debian11": "Debian:debian-11:11-backports-gen2",
    "CentOS85Gen2": "OpenLogic:CentOS:8_5-gen2",
    "FlatcarLinuxFreeGen2": "kinvolk:flatcar-container-linux-free:stable-gen2",
    "AzureLinux4": "microsoftazurelinux:azurelinux-4:4",
    "RHELRaw8LVMGen2": "RedHat:RHEL:8-lvm-gen2",
    "OpenSuseLeap154Gen2": "SUSE:openSUSE-leap-15-4:gen2",
    "SuseSles15SP3": "SUSE:sles-15-sp3:gen2",
}
_NAMES = {urn.lower(): name for name, urn in WELL_KNOWN.items()}


@dataclass(frozen=True)
class Entry:
    """One way to an image. `pinned`: an alias for `latest`, which goes before every version."""

    publisher: str
    offer: str
    sku: str
    version: str
    image: ImageObserved
    pinned: bool = False

    def order(self) -> tuple[bool, tuple[tuple[int, str], ...]]:
        """Sorts entries of one sku by age: what `latest` means comes last."""
        return self.pinned, tuple((int(p), "") if p.isdecimal() else (-1, p) for p in self.version.split("."))


def entries(work: UnitOfWork) -> Sequence[Entry]:
    """All ways to all images, in the order of their URNs, the versions of one sku from old to new."""
    found = [entry for image in work.hosts.images() for entry in _entries_of(image)]
    return sorted(found, key=lambda e: (e.publisher.lower(), e.offer.lower(), e.sku.lower(), e.order()))


def _entries_of(image: ImageObserved) -> list[Entry]:
    own = Entry(image.publisher, image.offer, image.sku, image.version, image)
    return [own, *(_alias(urn, image) for urn in image.aliases)]


def _alias(urn: str, image: ImageObserved) -> Entry:
    publisher, offer, sku, version = urn.split(":")
    if version.lower() == LATEST:
        return Entry(publisher, offer, sku, image.version, image, pinned=True)
    return Entry(publisher, offer, sku, version, image)


def resolve(work: UnitOfWork, publisher: str, offer: str, sku: str, version: str) -> ImageObserved:
    """The image that a URN means, in any case; `latest` is the newest version.

    Raises NotFound `PlatformImageNotFound` with the commands that would bring it.
    """
    wanted = [part.lower() for part in (publisher, offer, sku)]
    known = entries(work)
    found = [e for e in known if [e.publisher.lower(), e.offer.lower(), e.sku.lower()] == wanted]
    if version.lower() != LATEST:
        found = [e for e in found if e.version.lower() == version.lower()]
    if not found:
        urn = f"{publisher}:{offer}:{sku}:{version}"
        raise NotFound(
            "PlatformImageNotFound",
            f"The platform image '{urn}' is not available. Verify that all fields in the storage profile are correct. "
            f"{how_to_bring(work, urn)}",
            target="imageReference",
        )
    return found[-1].image


def resolve_urn(work: UnitOfWork, urn: str) -> ImageObserved:
    """The image that `publisher:offer:sku:version` means. Raises BadRequest for another form, NotFound as `resolve`."""
    parts = urn.split(":")
    if len(parts) != 4 or not all(parts):
        raise BadRequest(
            "InvalidParameter",
            f"'{urn}' is not an image URN: use publisher:offer:sku:version.",
            target="imageReference",
        )
    return resolve(work, *parts)


def known_urn(name: str) -> str:
    """The URN behind a well-known short name; for another name one to fill in."""
    found = {known.lower(): urn for known, urn in WELL_KNOWN.items()}.get(name.lower(), "PUBLISHER:OFFER:SKU")
    return f"{found}:{LATEST}"


def how_to_bring(work: UnitOfWork, urn: str) -> str:
    """The commands after which this URN would lead to an image."""
    series, _, version = urn.lower().rpartition(":")
    here = [e.version for e in entries(work) if f"{e.publisher}:{e.offer}:{e.sku}".lower() == series]
    if here:
        return f"There is no version {version} here, but {', '.join(here)}: ask for one of these, or for latest"
    recipe = BUILDABLE.get(series)
    if recipe is not None:
        return f"Build it with: skerry image build {recipe}"
    names = list(dict.fromkeys(image.alias or image.id for image in work.hosts.images()))
    if not names:
        return (
            "No image is here yet. Build one with: skerry image build debian-12, or import one with: "
            f"skerry image import FILE --name NAME; then: skerry image alias {urn} NAME"
        )
    return (
        f"To get {names[0]} instead, run: skerry image alias {urn} {names[0]}. To bring the image itself, run: "
        f"skerry image import FILE --name NAME, then: skerry image alias {urn} NAME. Here are: {', '.join(names)}"
    )


def alias_document(work: UnitOfWork) -> dict[str, Any]:
    """The short names that `az vm create --image` takes: each image's alias, else its id, and az's names for aliases.

    az reads it from `vmImageAliasDoc` and knows no other names then. Its shape is that of az's own copy
    (azure-cli, command_modules/vm/_alias.py).
    """
    systems: dict[str, dict[str, Any]] = {"Linux": {}, "Windows": {}}
    for entry in entries(work):
        name = _name(entry)
        if name is not None:
            systems[entry.image.os_type][name] = _reference(entry)
    return {
        "$schema": "http://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json",
        "contentVersion": "1.0.0.0",
        "parameters": {},
        "variables": {},
        "resources": [],
        "outputs": {"aliases": {"type": "object", "value": systems}},
    }


def _name(entry: Entry) -> str | None:
    if (entry.publisher, entry.offer, entry.sku) == (entry.image.publisher, entry.image.offer, entry.image.sku):
        return entry.image.alias or entry.image.id
    return _NAMES.get(f"{entry.publisher}:{entry.offer}:{entry.sku}".lower())


def _reference(entry: Entry) -> dict[str, str]:
    return {
        "publisher": entry.publisher,
        "offer": entry.offer,
        "sku": entry.sku,
        "version": LATEST,
        "architecture": entry.image.architecture,
    }
