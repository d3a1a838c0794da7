"""What `/resources` shows of a resource: its envelope, cut out of the stored JSON without decoding the rest."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from skerry.arm.errors import BadRequest
from skerry.arm.rows import timestamp
from skerry.store import ResourceRow

_EXPANSIONS = ("createdTime", "changedTime", "provisioningState")


class _Envelope(Struct, rename="camel"):
    id: Raw
    name: Raw
    type: Raw
    location: Raw | UnsetType = UNSET
    tags: Raw | UnsetType = UNSET
    sku: Raw | UnsetType = UNSET
    zones: Raw | UnsetType = UNSET
    kind: Raw | UnsetType = UNSET
    managed_by: Raw | UnsetType = UNSET
    created_time: str | UnsetType = UNSET
    changed_time: str | UnsetType = UNSET
    provisioning_state: str | UnsetType = UNSET


def expansions(text: str | None) -> frozenset[str]:
    """What `$expand` asks for, in lower case. Raises BadRequest for what `/resources` doesn't have."""
    asked = frozenset(part.strip().lower() for part in (text or "").split(",") if part.strip())
    if asked - {name.lower() for name in _EXPANSIONS}:
        raise BadRequest(
            "InvalidExpandInQueryString",
            f"Invalid $expand '{text}' specified in the query string. Use {', '.join(_EXPANSIONS)}.",
            target="$expand",
        )
    return asked


def envelopes(rows: Sequence[ResourceRow], asked: frozenset[str]) -> list[bytes]:
    """The envelopes' JSON, with what `expansions` found."""
    return [msgspec.json.encode(_envelope(row, asked)) for row in rows]


def _envelope(row: ResourceRow, asked: frozenset[str]) -> _Envelope:
    found = msgspec.json.decode(row.body, type=_Envelope)
    if "createdtime" in asked:
        found.created_time = timestamp(row.created)
    if "changedtime" in asked:
        found.changed_time = timestamp(row.changed)
    if "provisioningstate" in asked:
        found.provisioning_state = row.state
    return found
