"""Values of the template language: JSON's, with ARM's ideas of sameness, text and size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import orjson

from skerry.templates.errors import Fault

MAX_TEXT = 1024 * 1024
MAX_WEIGHT = 4 * 1024 * 1024
_NODE_WEIGHT = 16


def kind(value: Any) -> str:
    """The JSON type by the name that ARM's messages give it."""
    match value:
        case None:
            return "Null"
        case bool():
            return "Boolean"
        case int():
            return "Integer"
        case float():
            return "Float"
        case str():
            return "String"
        case list():
            return "Array"
        case _:
            return "Object"


def is_integer(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def same(left: Any, right: Any) -> bool:
    """Deep equality: types count (`1` is not `true`), strings and keys are compared with case."""
    if kind(left) != kind(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    return bool(left == right)


def text_of(value: Any) -> str:
    """The value as `string()` writes it: .NET's `True` and `False`, objects and arrays as compact JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int):
        return str(value)
    if value is None:
        return ""
    return _json(value, 0).decode()


def fingerprint(value: Any) -> bytes:
    """Bytes that are equal for values that are `same` (but for −0.0 and 0.0), and different for others."""
    return _json(value, orjson.OPT_SORT_KEYS)


def _json(value: Any, options: int) -> bytes:
    weigh(value)
    try:
        return orjson.dumps(value, option=options)
    except TypeError:
        raise Fault("The value is nested too deeply to be written as JSON.") from None


def find_key(mapping: Mapping[str, Any], name: str) -> str | None:
    """The key that `name` means: the exact one, or the first that differs in case only."""
    if name in mapping:
        return name
    folded = name.lower()
    return next((key for key in mapping if key.lower() == folded), None)


def weigh(value: Any, limit: int = MAX_WEIGHT) -> int:
    """The size of a value: one for each character, 16 for each node. Raises Fault beyond `limit`.

    Shared parts count each time they appear, so that a value that would explode when written is refused early.
    """
    total = 0
    pending = [value]
    while pending:
        here = pending.pop()
        total += _NODE_WEIGHT + (len(here) if isinstance(here, str) else 0)
        if isinstance(here, dict):
            total += sum(map(len, here))
            pending += here.values()
        elif isinstance(here, list):
            pending += here
        if total + _NODE_WEIGHT * len(pending) > limit:
            raise Fault(f"The value is larger than the {limit} characters that a template may grow to.")
    return total


def within_text(length: int) -> None:
    """Refuse a string of `length` characters before it is built."""
    if length > MAX_TEXT:
        raise Fault(f"The result would be {length} characters long, and {MAX_TEXT} are allowed.")
