"""What the catalogue's views answer."""

from typing import Literal, NotRequired, TypedDict


class VmSize(TypedDict):
    """A size with what a VM of it has."""

    name: str
    numberOfCores: int
    osDiskSizeInMB: int
    resourceDiskSizeInMB: int
    memoryInMB: int
    maxDataDiskCount: int


class SizeList(TypedDict):
    """All sizes."""

    value: list[VmSize]


class NameValue(TypedDict):
    """A capability or feature."""

    name: str
    value: str


class LocationInfo(TypedDict):
    """Where a size is, and in which zones."""

    location: str
    zones: list[str]
    zoneDetails: list[str]


class ResourceSku(TypedDict):
    """A size as `az vm list-skus` shows it."""

    resourceType: str
    name: str
    tier: str
    size: str
    family: str
    locations: list[str]
    locationInfo: list[LocationInfo]
    capabilities: list[NameValue]
    restrictions: list[str]


class SkuList(TypedDict):
    """All sizes, by location."""

    value: list[ResourceSku]


class UsageName(TypedDict):
    """The name of a quota."""

    value: str
    localizedValue: str


class Usage(TypedDict):
    """What is used of a quota."""

    id: NotRequired[str]
    unit: str
    currentValue: int
    limit: int
    name: UsageName


class UsageList(TypedDict):
    """All quotas."""

    value: list[Usage]


class Named(TypedDict):
    """A publisher, an offer, a sku."""

    location: str
    name: str
    id: str


class OsDiskImage(TypedDict):
    """What an image's OS disk is."""

    operatingSystem: str
    sizeInBytes: int


class VersionProperties(TypedDict):
    """What an image is."""

    hyperVGeneration: Literal["V1", "V2"]
    architecture: str
    osDiskImage: OsDiskImage
    dataDiskImages: list[str]
    automaticOSUpgradeProperties: dict[str, bool]
    features: list[NameValue]
    imageDeprecationStatus: dict[str, str]


class ImageVersion(Named):
    """A version of an image."""

    properties: NotRequired[VersionProperties]
