"""Restore point collections on the wire (https://learn.microsoft.com/rest/api/compute/restore-point-collections)."""

from typing import Any, Literal

from skerry.arm.descriptor import ArmResource, Id, Properties, ReadOnly


class CollectionSource(Properties):
    """The VM whose restore points these are; it may be gone since."""

    id: Id | None = None
    location: ReadOnly[str | None] = None


class CollectionProperties(Properties):
    """`properties` of a collection."""

    source: CollectionSource | None = None
    instant_access: Literal[False] | None = None
    restore_point_collection_id: ReadOnly[str | None] = None
    provisioning_state: ReadOnly[str | None] = None
    restore_points: ReadOnly[list[Any] | None] = None


class RestorePointCollection(ArmResource, kw_only=True):
    """The restore points of one VM."""

    properties: CollectionProperties | None = None
