"""If-Match and If-None-Match (RFC 9110, section 13.1) on ETags like `W/"…"`."""

import re
from typing import Protocol

from skerry.arm.errors import BadRequest, PreconditionFailed
from skerry.store import ResourceRow

_TAG = r'(?:\*|(?:W/)?"[^"]*")'
SYNTAX = rf"^(\s*{_TAG}(?:\s*,\s*{_TAG})*\s*)?$"  # as published
_TAGS = re.compile(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*")


class HasConditions(Protocol):
    """The two headers of a request."""

    @property
    def if_match(self) -> str | None: ...
    @property
    def if_none_match(self) -> str | None: ...


def _names(header: str, row: ResourceRow | None) -> bool:
    if row is None:
        return False
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")]
    return "*" in tags or row.etag in tags


def check_syntax(conditions: HasConditions) -> None:
    """Raises BadRequest for a condition that is none."""
    for name, header in (("If-Match", conditions.if_match), ("If-None-Match", conditions.if_none_match)):
        if header and (len(header) > 1024 or not _TAGS.fullmatch(header)):
            raise BadRequest("InvalidHeaderValue", f"The {name} header is neither '*' nor a list of ETags.")


def check_conditions(conditions: HasConditions, row: ResourceRow | None) -> None:
    """Raises PreconditionFailed when the row (None: no such resource) doesn't meet the conditions."""
    if conditions.if_match and not _names(conditions.if_match, row):
        raise PreconditionFailed(
            "PreconditionFailed",
            f"The condition in the If-Match header, {conditions.if_match[:128]}, is not met: the resource has changed "
            "or is gone. Read it again.",
        )
    if conditions.if_none_match and _names(conditions.if_none_match, row):
        raise PreconditionFailed(
            "PreconditionFailed",
            f"The condition in the If-None-Match header, {conditions.if_none_match[:128]}, is not met: the resource "
            "exists.",
        )
