"""Request bodies: JSON → a type's msgspec Struct, by ARM's rules.

`null` means absent, member names match without regard to case, numbers and booleans may come as strings, and a
member that the type doesn't have is refused by name with its path. The bounds of values stand in the Structs
(`msgspec.Meta`), from which `/openapi.json` is made too.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

import msgspec
import orjson

from skerry.arm.errors import BadRequest
from skerry.arm.shape import Shape, shape_of

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
T = TypeVar("T")
_MISSING = re.compile("missing required field `([^`]+)`")


def parse_json(body: bytes) -> Any:
    """The JSON value of a request body. Raises BadRequest for anything that isn't JSON, or that readers take apart."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _content(str(error)) from error
    members = _walk(value)
    # Each member has one colon outside of strings: no more colons, no member that stands there twice.
    if body.count(b":") != members:
        json.loads(body, object_pairs_hook=_unique)
    if b"\\u0000" in body and any("\0" in text for text in _texts(value)):
        raise _content("a string has a NUL character")
    return value


def _walk(value: Any) -> int:
    """How many members all objects have together. Raises BadRequest for a value that is nested too deeply."""
    level, depth, members = [value], 0, 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _content(f"it is nested deeper than {MAX_DEPTH} levels")
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                members += len(node)
                below.extend(node.values())
            elif isinstance(node, list):
                below.extend(node)
        level = below
    return members


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _content(f"Member '{twice[:64]}' stands there twice", twice[:64])
    return found


def _texts(value: Any) -> Iterator[str]:
    """All strings of a value, member names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(item)


def decode(body: Any, model: type[T]) -> T:
    """Turn a parsed body into `model`. Raises BadRequest with the path of what doesn't fit as its target."""
    if not isinstance(body, dict):
        raise _content("a JSON object is expected")
    shape: Shape = shape_of(model)
    tidy = _tidy(body, shape, "", model.__name__)
    try:
        return msgspec.convert(tidy, model)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        target = path.rstrip("`").lstrip(".")
        missing = _MISSING.search(message)
        if missing:
            target = f"{target}.{missing[1]}".lstrip(".")
        raise _content(message, target or None, shape.at(target).code) from error


def check_parameter(name: str, text: str, kind: Any) -> None:
    """Check a query parameter by its type. Raises BadRequest `InvalidParameter` with its name as target."""
    shape: Shape = shape_of(kind)
    try:
        msgspec.convert(_tidy(text, shape, name, name), kind)
    except msgspec.ValidationError as error:
        message = f"The value '{text[:64]}' of the query parameter '{name}' is not valid: {error}."
        raise BadRequest("InvalidParameter", message, target=name) from error


def _tidy(value: Any, shape: Shape, path: str, name: str) -> Any:
    if isinstance(value, dict) and shape.members is not None:
        return _tidy_object(value, shape, path)
    if isinstance(value, dict) and shape.items is not None and shape.is_map:
        return {k: _tidy(v, shape.items, f"{path}.{k[:64]}", name) for k, v in value.items() if v is not None}
    if isinstance(value, list) and shape.items is not None and not shape.is_map:
        if shape.max_items is not None and len(value) > shape.max_items:
            raise _content(f"Expected `array` of length <= {shape.max_items}", path, shape.code)
        return [_tidy(v, shape.items, f"{path}[{i}]", name) for i, v in enumerate(value) if v is not None]
    if shape.options:
        return _option(value, shape, path)
    if shape.scalar is str and not isinstance(value, str):
        # msgspec would say so too, but not at which key of a map.
        raise _content("Expected `str`", path, shape.code)
    return shape.scalar_of(value) if shape.scalar else value


def _option(value: Any, shape: Shape, path: str) -> Any:
    """The option that a value names, in any casing as Azure takes it. Raises BadRequest."""
    if isinstance(value, str | bool):
        found = [option for option in shape.options if str(option).lower() == str(value).lower()]
        if found:
            return found[0]
    asked = str(orjson.dumps(value), "utf-8").strip('"')[:64]
    known = ", ".join(str(orjson.dumps(option), "utf-8").strip('"') for option in shape.options)
    message = f"The value '{asked}' of '{path}' is not supported: use {known}."
    raise BadRequest(shape.code or "InvalidParameter", message, target=path)


def _tidy_object(value: dict[str, Any], shape: Shape, path: str) -> dict[str, Any]:
    tidy: dict[str, Any] = {}
    assert shape.members is not None
    for key, item in value.items():
        where = f"{path}.{key[:64]}".lstrip(".")
        if item is None:
            continue
        member = shape.members.get(key.lower())
        if member is None:
            if _is_empty(item):
                continue
            _refuse_unknown(key[:64], shape.name, where)
        if member[0] in tidy:
            raise _content(f"Member '{key}' stands there twice", where)
        tidy[member[0]] = _tidy(item, member[1], where, shape.name)
    return tidy


def _is_empty(item: Any) -> bool:
    """Clients send empty lists and objects for features they don't use: they ask for nothing."""
    return item in ([], {}, "") if isinstance(item, dict | list | str) else False


def _refuse_unknown(key: str, owner: str, path: str) -> NoReturn:
    raise _content(
        f"Could not find member '{key}' on object of type '{owner}'. Path '{path}'. "
        "Skerry does not support this property: leave it out",
        path,
    )


def _content(reason: str, target: str | None = None, code: str | None = None) -> BadRequest:
    where = f" Path '{target}'." if target and f"'{target}'" not in reason else ""
    return BadRequest(
        code or "InvalidRequestContent",
        f"The request content was invalid and could not be deserialized: {reason.rstrip('.')}.{where}",
        target=target,
    )


def encode(value: Any) -> bytes:
    """JSON for the wire and for the store; Structs as their wire form."""
    return msgspec.json.encode(value)


def merge_patch(stored: Any, patch: dict[str, Any]) -> Any:
    """RFC 7396, but tags are replaced whole, as ARM's PATCH does, and names match without regard to case.

    Raises BadRequest for a member in two casings.
    """
    merged = dict(stored) if isinstance(stored, dict) else {}
    names = {key.lower(): key for key in merged}
    seen: set[str] = set()
    for key, item in patch.items():
        name = names.get(key.lower(), key)
        if item is None:
            continue
        if key.lower() in seen:
            raise _content(f"Member '{key[:64]}' stands there twice", key[:64])
        seen.add(key.lower())
        nested = isinstance(item, dict) and name.lower() != "tags"
        merged[name] = merge_patch(merged.get(name), item) if nested else item
    return merged
