"""The `$filter` of lists: terms joined by `and`, as az and the SDKs send, turned into a search of the store.

    name eq 'value'                 of resourceType, name, resourceGroup, location, tagName, tagValue
    substringof('value', name)      of name, resourceGroup
    startswith(tagName, 'value')    az's `--tag value*`

Source: https://learn.microsoft.com/rest/api/resources/resources/list
"""

import re
from collections.abc import Mapping, Sequence

from skerry.arm.errors import BadRequest
from skerry.arm.locations import normalise
from skerry.store import Search

_TEXT = r"'((?:[^']|'')*)'"
_EQUAL = re.compile(rf"\s*(resourceType|name|resourceGroup|location|tagName|tagValue)\s+eq\s+{_TEXT}\s*", re.I)
_PART = re.compile(rf"\s*(substringof)\s*\(\s*{_TEXT}\s*,\s*(name|resourceGroup)\s*\)\s*", re.I)
_START = re.compile(rf"\s*(startswith)\s*\(\s*(tagName)\s*,\s*{_TEXT}\s*\)\s*", re.I)
OF_RESOURCES = "resourceType, name, resourceGroup, location, tagName, tagValue"
OF_GROUPS = "name, location, tagName, tagValue"

Terms = Mapping[str, str]


def parse_filter(text: str | None, allowed: str = OF_RESOURCES) -> Terms:
    """The terms by lower-case name: `name`, `substringof name`, `startswith tagname`.

    Raises BadRequest for what isn't understood, isn't among `allowed`, stands there twice or has no meaning alone.
    """
    terms: dict[str, str] = {}
    rest = text or ""
    while rest.strip():
        name, value, rest = _term(rest, text)
        if name in terms or name.split()[-1] not in allowed.lower().split(", "):
            raise _invalid(text, allowed)
        terms[name] = value
        if rest:
            joined = re.match(r"and\b(?=.*\S)", rest, re.I | re.S)
            if joined is None:
                raise _invalid(text, allowed)
            rest = rest[joined.end() :]
    if "tagvalue" in terms and "tagname" not in terms:
        raise _invalid(text, allowed)
    return terms


def _term(rest: str, whole: str | None) -> tuple[str, str, str]:
    """The next term's name and value, and what follows it."""
    if match := _EQUAL.match(rest):
        name, value = match[1], match[2]
    elif match := _PART.match(rest):
        name, value = f"{match[1]} {match[3]}", match[2]
    elif match := _START.match(rest):
        name, value = f"{match[1]} {match[2]}", match[3]
    else:
        raise _invalid(whole, OF_RESOURCES)
    return name.lower(), value.replace("''", "'"), rest[match.end() :]


def _invalid(text: str | None, allowed: str) -> BadRequest:
    return BadRequest(
        "InvalidFilterInQueryString",
        f"Invalid $filter '{text}' specified in the query string. Skerry understands {allowed} with eq, "
        "substringof('part', name) and startswith(tagName, 'start'), each once, joined by and; tagValue needs tagName.",
    )


def search(types: Sequence[str], group: str | None, groups: str, terms: Terms) -> Search:
    """The search for resources of `types` (lower case), in the group with this key if one is given, that meet `terms`.

    `groups`: what the keys of all groups begin with.
    """
    kind, named = terms.get("resourcetype"), terms.get("resourcegroup")
    inside = [group] if group is not None else []
    if named is not None:
        inside.append(groups + named.lower())
    return Search(
        types=tuple(types) if kind is None else tuple(t for t in types if t == kind.lower()),
        groups=tuple(inside),
        group_start=len(groups) + 1,
        location=normalise(terms["location"]) if "location" in terms else None,
        **{
            field: terms[name] if field == "tag_value" else terms[name].lower()
            for name, field in _FIELDS.items()
            if name in terms
        },
    )


_FIELDS = {
    "name": "name",
    "tagname": "tag",
    "tagvalue": "tag_value",
    "startswith tagname": "tag_start",
    "substringof name": "name_part",
    "substringof resourcegroup": "group_part",
}
