"""Request bodies: JSON → a type's msgspec Struct, by ARM's rules.

`null` means absent, member names match without regard to case, numbers and booleans may come as strings, and a
member that the type doesn't have is refused by name with its path.
"""

from functools import cache
from typing import Any, TypeVar

import msgspec
import orjson
from msgspec import inspect

from skerry.arm.errors import BadRequest

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
T = TypeVar("T")


def parse_json(body: bytes) -> Any:
    """The JSON value of a request body. Raises BadRequest for anything that isn't JSON."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _content(str(error)) from error
    if _depth(value) > MAX_DEPTH:
        raise _content(f"it is nested deeper than {MAX_DEPTH} levels")
    return value


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            break
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return depth


def decode(body: Any, model: type[T]) -> T:
    """Turn a parsed body into `model`. Raises BadRequest with the path of what doesn't fit as its target."""
    if not isinstance(body, dict):
        raise _content("a JSON object is expected")
    shape: _Shape = _shape(model)  # type: ignore[arg-type]
    tidy = _tidy(body, shape, "", model.__name__)
    try:
        return msgspec.convert(tidy, model, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise _content(message, path.rstrip("`").lstrip(".") or None) from error


class _Shape:
    """What may stand at one place of a body: an object's members by lower-case name, a list's or map's items, or
    one of some values."""

    def __init__(self) -> None:
        self.members: dict[str, tuple[str, _Shape]] | None = None
        self.items: _Shape | None = None
        self.options: tuple[str | int | None, ...] = ()
        self.name = ""


@cache
def _shape(model: Any) -> _Shape:
    return _shape_of(inspect.type_info(model), {})


def _shape_of(info: inspect.Type, known: dict[Any, _Shape]) -> _Shape:
    if isinstance(info, inspect.UnionType):
        shapes = [_shape_of(t, known) for t in info.types]
        return next((s for s in shapes if s.members is not None or s.items or s.options), _Shape())
    if isinstance(info, inspect.StructType):
        if info.cls in known:
            return known[info.cls]
        shape = known[info.cls] = _Shape()
        shape.name = info.cls.__name__
        shape.members = {f.encode_name.lower(): (f.encode_name, _shape_of(f.type, known)) for f in info.fields}
        return shape
    shape = _Shape()
    if isinstance(info, inspect.ListType | inspect.VarTupleType):
        shape.items = _shape_of(info.item_type, known)
    elif isinstance(info, inspect.DictType):
        shape.items = _shape_of(info.value_type, known)
    elif isinstance(info, inspect.LiteralType):
        shape.options = info.values
    return shape


def _tidy(value: Any, shape: _Shape, path: str, name: str) -> Any:
    if isinstance(value, dict) and shape.members is not None:
        return _tidy_object(value, shape, path)
    if isinstance(value, dict) and shape.items is not None:
        return {k: _tidy(v, shape.items, f"{path}.{k}", name) for k, v in value.items() if v is not None}
    if isinstance(value, list) and shape.items is not None:
        return [_tidy(v, shape.items, f"{path}[{i}]", name) for i, v in enumerate(value) if v is not None]
    return _option(value, shape.options, path) if shape.options else value


def _option(value: Any, options: tuple[str | int | None, ...], path: str) -> Any:
    """The option that a value names, in any casing as Azure takes it. Raises BadRequest."""
    if isinstance(value, str | int):
        found = [option for option in options if str(option).lower() == str(value).lower()]
        if found:
            return found[0]
    asked = str(orjson.dumps(value), "utf-8").strip('"')[:64]
    known = ", ".join(str(orjson.dumps(option), "utf-8").strip('"') for option in options)
    raise BadRequest("InvalidParameter", f"The value '{asked}' of '{path}' is not supported: use {known}.", target=path)


def _tidy_object(value: dict[str, Any], shape: _Shape, path: str) -> dict[str, Any]:
    tidy: dict[str, Any] = {}
    assert shape.members is not None
    for key, item in value.items():
        where = f"{path}.{key}".lstrip(".")
        if item is None:
            continue
        member = shape.members.get(key.lower())
        if member is None:
            if _is_empty(item):
                continue
            raise _unknown(key, shape.name, where)
        if member[0] in tidy:
            raise _content(f"Member '{key}' stands there twice", where)
        tidy[member[0]] = _tidy(item, member[1], where, shape.name)
    return tidy


def _is_empty(item: Any) -> bool:
    """Clients send empty lists and objects for features they don't use: they ask for nothing."""
    return item in ([], {}, "") if isinstance(item, dict | list | str) else False


def _unknown(key: str, owner: str, path: str) -> BadRequest:
    return _content(
        f"Could not find member '{key}' on object of type '{owner}'. Path '{path}'. "
        "Skerry does not support this property: leave it out",
        path,
    )


def _content(reason: str, target: str | None = None) -> BadRequest:
    where = f" Path '{target}'." if target and target not in reason else ""
    return BadRequest(
        "InvalidRequestContent",
        f"The request content was invalid and could not be deserialized: {reason.rstrip('.')}.{where}",
        target=target,
    )


def encode(value: Any) -> bytes:
    """JSON for the wire and for the store; Structs as their wire form."""
    return msgspec.json.encode(value)


def merge_patch(stored: Any, patch: dict[str, Any]) -> Any:
    """RFC 7396, but tags are replaced whole, as ARM's PATCH does, and names match without regard to case."""
    merged = dict(stored) if isinstance(stored, dict) else {}
    names = {key.lower(): key for key in merged}
    for key, item in patch.items():
        name = names.get(key.lower(), key)
        if item is None:
            continue
        nested = isinstance(item, dict) and name.lower() != "tags"
        merged[name] = merge_patch(merged.get(name), item) if nested else item
    return merged
