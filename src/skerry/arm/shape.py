"""What may stand at each place of a body: the tree that a type's msgspec Struct is read by."""

import re
from functools import cache
from typing import Any

from msgspec import inspect

_INTEGER = re.compile(r"-?[0-9]{1,19}")


class Shape:
    """One place: an object's members by lower-case name, a list's or map's items, one of some values, or a scalar.

    `scalar` is str, int or bool where only such a value may stand. `code` is the error code that Azure has for a
    value which may not.
    """

    def __init__(self) -> None:
        self.members: dict[str, tuple[str, Shape]] | None = None
        self.items: Shape | None = None
        self.is_map = False
        self.max_items: int | None = None
        self.options: tuple[str | int | None, ...] = ()
        self.scalar: type | None = None
        self.name = ""
        self.code: str | None = None

    def at(self, path: str) -> "Shape":
        """The place that a path like `properties.rules[0].priority` leads to, or the nearest one above it."""
        here = self
        for part in re.findall(r"\[[^\]]*\]|[^.\[]+", path):
            below = here.items if here.members is None else here.members.get(part.lower(), ("", None))[1]
            if below is None:
                return here
            here = below
        return here

    def scalar_of(self, value: Any) -> Any:
        """The value, read from a string where Azure's clients send one: numbers and booleans come as strings too."""
        if self.scalar is bool and isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if self.scalar is int and isinstance(value, str) and _INTEGER.fullmatch(value):
            return int(value)
        if self.scalar is int and isinstance(value, float) and value.is_integer():
            return int(value)
        return value


def shape_of(model: Any) -> Shape:
    """The shape of a Struct, or of another type that msgspec knows."""
    return _cached(model)


@cache
def _cached(model: Any) -> Shape:
    return _shape(inspect.type_info(model), {})


def _shape(info: inspect.Type, known: dict[Any, Shape]) -> Shape:
    if isinstance(info, inspect.Metadata):
        shape = _shape(info.type, known)
        shape.code = (info.extra or {}).get("code", shape.code)
        return shape
    if isinstance(info, inspect.UnionType):
        shapes = [_shape(t, known) for t in info.types if not isinstance(t, inspect.NoneType)]
        return shapes[0] if len(shapes) == 1 else Shape()
    if isinstance(info, inspect.StructType):
        return _object(info, known)
    shape = Shape()
    if isinstance(info, inspect.ListType | inspect.VarTupleType):
        shape.items = _shape(info.item_type, known)
        shape.max_items = info.max_length if isinstance(info, inspect.ListType) else None
    elif isinstance(info, inspect.DictType):
        shape.items, shape.is_map = _shape(info.value_type, known), True
    elif isinstance(info, inspect.LiteralType):
        shape.options = info.values
    else:
        shape.scalar = _SCALARS.get(type(info))
    return shape


_SCALARS: dict[type, type] = {inspect.StrType: str, inspect.IntType: int, inspect.BoolType: bool}


def _object(info: inspect.StructType, known: dict[Any, Shape]) -> Shape:
    if info.cls in known:
        return known[info.cls]
    shape = known[info.cls] = Shape()
    shape.name = info.cls.__name__
    shape.members = {f.encode_name.lower(): (f.encode_name, _shape(f.type, known)) for f in info.fields}
    return shape
