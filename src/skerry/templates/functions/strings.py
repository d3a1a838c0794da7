"""Strings."""

from __future__ import annotations

import re
from typing import Any

from skerry.templates.errors import Fault
from skerry.templates.functions.formatting import composite
from skerry.templates.functions.hashing import arm_guid, unique_text
from skerry.templates.functions.registry import ANY, array, function, integer, mistyped, text
from skerry.templates.values import is_integer, text_of, within_text

MAX_DELIMITERS = 100


@function("string", 1, 1)
def string(value: Any) -> str:
    return text_of(value)


@function("toLower", 1, 1)
def to_lower(value: Any) -> str:
    return text(value).lower()


@function("toUpper", 1, 1)
def to_upper(value: Any) -> str:
    return text(value).upper()


@function("trim", 1, 1)
def trim(value: Any) -> str:
    return text(value).strip()


@function("startsWith", 2, 2)
def starts_with(value: Any, start: Any) -> bool:
    """Without regard to case, as ARM's."""
    return text(value).lower().startswith(text(start).lower())


@function("endsWith", 2, 2)
def ends_with(value: Any, end: Any) -> bool:
    return text(value).lower().endswith(text(end).lower())


@function("substring", 2, 3)
def substring(value: Any, start: Any, length: Any = None) -> str:
    whole, first = text(value), integer(start)
    end = len(whole) if length is None else first + integer(length)
    if not 0 <= first <= end <= len(whole):
        raise Fault("the start index and the length must lie within the string.")
    return whole[first:end]


@function("replace", 3, 3)
def replace(value: Any, old: Any, new: Any) -> str:
    whole, sought, other = text(value), text(old), text(new)
    if not sought:
        raise Fault("the string to be replaced is empty.")
    within_text(len(whole) + whole.count(sought) * (len(other) - len(sought)))
    return whole.replace(sought, other)


@function("split", 2, 2)
def split(value: Any, delimiter: Any) -> list[str]:
    """Cut at a delimiter, or at any of an array of them; at one place the first in the array wins."""
    delimiters = [text(item) for item in delimiter] if isinstance(delimiter, list) else [text(delimiter)]
    if len(delimiters) > MAX_DELIMITERS:
        raise Fault(f"it takes at most {MAX_DELIMITERS} delimiters.")
    pattern = "|".join(re.escape(item) for item in delimiters if item)
    return re.split(pattern, text(value)) if pattern else [text(value)]


@function("join", 2, 2)
def join(values: Any, delimiter: Any) -> str:
    parts = [text_of(value) for value in array(values)]
    separator = text(delimiter)
    within_text(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


@function("padLeft", 2, 3)
def pad_left(value: Any, width: Any, fill: Any = " ") -> str:
    if not isinstance(value, str) and not is_integer(value):
        raise mistyped("a string or an integer", value)
    if len(text(fill)) != 1:
        raise Fault("the padding must be one character.")
    if integer(width) < 0:
        raise Fault("the width is negative.")
    within_text(width)
    return text_of(value).rjust(width, fill)


@function("format", 1, ANY)
def format_(pattern: Any, *arguments: Any) -> str:
    """.NET's composite formatting: `{0}`, `{0,8}`, `{0:00}`."""
    return composite(text(pattern), arguments)


@function("uniqueString", 1, ANY)
def unique_string(*values: Any) -> str:
    return unique_text("-".join(map(text, values)))


@function("guid", 1, ANY)
def guid(*values: Any) -> str:
    return arm_guid("-".join(map(text, values)))
