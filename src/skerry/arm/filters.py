"""The `$filter` of `/resources` lists: `name eq 'value'` terms joined by `and`, as az and the SDKs send.

Source: https://learn.microsoft.com/rest/api/resources/resources/list
"""

import re
from collections.abc import Mapping

import orjson

from skerry.arm.errors import BadRequest
from skerry.arm.locations import normalise
from skerry.store import ResourceRow

_TERM = re.compile(r"\s*(resourceType|name|resourceGroup|location|tagName|tagValue)\s+eq\s+'((?:[^']|'')*)'\s*", re.I)


def parse_filter(text: str | None) -> dict[str, str]:
    """Lower-case term names with their values. Raises BadRequest for what isn't understood."""
    terms: dict[str, str] = {}
    rest = text or ""
    while rest.strip():
        match = _TERM.match(rest)
        if match is None:
            raise BadRequest(
                "InvalidFilterInQueryString",
                f"Invalid $filter '{text}' specified in the query string. Skerry understands resourceType, name, "
                "resourceGroup, location, tagName and tagValue with eq, joined by and.",
            )
        terms[match[1].lower()] = match[2].replace("''", "'")
        rest = rest[match.end() :]
        if rest:
            joined = re.match(r"and\b", rest, re.I)
            rest = rest[joined.end() :] if joined else f"?{rest}"
    return terms


def matches(row: ResourceRow, terms: Mapping[str, str]) -> bool:
    """Whether a row passes."""
    if not terms:
        return True
    plain = {
        "resourcetype": row.type,
        "name": row.name,
        "resourcegroup": row.group_key.rpartition("/")[2],
        "location": normalise(row.location),
    }
    if any(k in terms and normalise(terms[k]) != normalise(v) for k, v in plain.items()):
        return False
    if "tagname" not in terms and "tagvalue" not in terms:
        return True
    tags = orjson.loads(row.body).get("tags", {})
    wanted = terms.get("tagname", "").lower()
    return any(
        (not wanted or name.lower() == wanted) and terms.get("tagvalue", value) == value for name, value in tags.items()
    )
