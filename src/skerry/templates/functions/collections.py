"""Arrays and objects, and the functions that take either those or strings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from skerry.templates.errors import Fault
from skerry.templates.functions.registry import ANY, array, function, integer, mapping, mistyped, text
from skerry.templates.values import find_key, fingerprint, is_integer, same, text_of, within_text

MAX_RANGE = 10_000  # ARM's limit


@function("concat", 1, ANY)
def concat(*parts: Any) -> str | list[Any]:
    """Arrays give an array, strings (and integers and booleans) a string; they don't mix."""
    if all(isinstance(part, list) for part in parts):
        return [item for part in parts for item in part]
    for part in parts:
        if part is None or isinstance(part, dict | list | float):
            raise mistyped("either arrays only or strings, integers and booleans only", part)
    within_text(sum(len(part) if isinstance(part, str) else 20 for part in parts))
    return "".join(map(text_of, parts))


@function("array", 1, 1)
def array_(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@function("createArray", 0, ANY)
def create_array(*items: Any) -> list[Any]:
    return list(items)


@function("createObject", 0, ANY)
def create_object(*pairs: Any) -> dict[str, Any]:
    if len(pairs) % 2:
        raise Fault("it takes keys and values in turn, and the last key has no value.")
    return {text(key): value for key, value in zip(pairs[::2], pairs[1::2], strict=True)}


@function("range", 2, 2)
def range_(start: Any, count: Any) -> list[int]:
    first, length = integer(start), integer(count)
    if not 0 <= length <= MAX_RANGE:
        raise Fault(f"its count must be between 0 and {MAX_RANGE}.")
    if not -(2**31) <= first <= 2**31 - 1 - length:
        raise Fault("its numbers must fit into 32 bits.")
    return list(range(first, first + length))


@function("length", 1, 1)
def length(value: Any) -> int:
    if isinstance(value, str | list | dict):
        return len(value)
    raise mistyped("a string, an array or an object", value)


@function("empty", 1, 1)
def empty(value: Any) -> bool:
    return value is None or length(value) == 0


@function("contains", 2, 2)
def contains(container: Any, item: Any) -> bool:
    """Strings and array elements are compared with case, an object's keys without."""
    if isinstance(container, dict):
        return find_key(container, text(item)) is not None
    if isinstance(container, list):
        return any(same(element, item) for element in container)
    if isinstance(container, str):
        if not isinstance(item, str) and not is_integer(item):
            raise mistyped("a string or an integer to look for", item)
        return text_of(item) in container
    raise mistyped("a string, an array or an object", container)


@function("first", 1, 1, passes=True)
def first(value: Any) -> Any:
    """The first element or character; null of an empty array, an empty string of an empty string."""
    return next(iter(_sequence(value)), "" if isinstance(value, str) else None)


@function("last", 1, 1, passes=True)
def last(value: Any) -> Any:
    return next(reversed(_sequence(value)), "" if isinstance(value, str) else None)


@function("skip", 2, 2)
def skip(value: Any, count: Any) -> Any:
    return _sequence(value)[max(integer(count), 0) :]


@function("take", 2, 2)
def take(value: Any, count: Any) -> Any:
    return _sequence(value)[: max(integer(count), 0)]


def _sequence(value: Any) -> str | list[Any]:
    if not isinstance(value, str | list):
        raise mistyped("a string or an array", value)
    return value


@function("indexOf", 2, 2)
def index_of(value: Any, sought: Any) -> int:
    """The first place of a substring without regard to case, or of an array's element; −1 if there is none."""
    if isinstance(value, list):
        return next((index for index, item in enumerate(value) if same(item, sought)), -1)
    return text(value).lower().find(text(sought).lower())


@function("lastIndexOf", 2, 2)
def last_index_of(value: Any, sought: Any) -> int:
    if isinstance(value, list):
        return next((index for index in reversed(range(len(value))) if same(value[index], sought)), -1)
    return text(value).lower().rfind(text(sought).lower())


@function("union", 1, ANY)
def union(*parts: Any) -> Any:
    """Arrays: each different element once, in order of appearance. Objects: merged, nested objects too."""
    if all(isinstance(part, list) for part in parts):
        return _distinct(item for part in parts for item in part)
    merged: dict[str, Any] = {}
    for part in parts:
        merged = _merge(merged, _object_like_others(part))
    return merged


@function("intersection", 1, ANY)
def intersection(*parts: Any) -> Any:
    """What all arrays, or all objects, have in common."""
    if all(isinstance(part, list) for part in parts):
        others = [{fingerprint(item) for item in part} for part in parts[1:]]
        return _distinct(item for item in parts[0] if all(fingerprint(item) in other for other in others))
    common = _object_like_others(parts[0])
    for part in parts[1:]:
        common = _common(common, _object_like_others(part))
    return common


def _object_like_others(part: Any) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise mistyped("either arrays only or objects only", part)
    return part


def _distinct(items: Iterable[Any]) -> list[Any]:
    return list({fingerprint(item): item for item in reversed(list(items))}.values())[::-1]


def _merge(base: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in added.items():
        existing = result.get(key)
        both = isinstance(existing, dict) and isinstance(value, dict)
        result[key] = _merge(existing, value) if both and existing is not None else value
    return result


def _common(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in left.items():
        other = right.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            result[key] = _common(value, other)
        elif key in right and same(value, other):
            result[key] = value
    return result


@function("items", 1, 1)
def items(value: Any) -> list[dict[str, Any]]:
    """An object's pairs, sorted by key."""
    return [{"key": key, "value": item} for key, item in sorted(mapping(value).items())]


@function("objectKeys", 1, 1)
def object_keys(value: Any) -> list[str]:
    return sorted(mapping(value))


@function("flatten", 1, 1)
def flatten(value: Any) -> list[Any]:
    return [item for inner in array(value) for item in array(inner)]


@function("tryGet", 2, ANY, passes=True)
def try_get(value: Any, *keys: Any) -> Any:
    """The value behind the keys and indexes, or null where one is not there."""
    for key in keys:
        if isinstance(value, dict):
            found = find_key(value, text(key))
            value = None if found is None else value[found]
        elif isinstance(value, list):
            index = integer(key)
            value = value[index] if 0 <= index < len(value) else None
        else:
            return None
    return value
