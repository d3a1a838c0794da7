"""Conditions. `if`, `and`, `or` and `coalesce` evaluate only the arguments they need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skerry.templates.errors import Fault
from skerry.templates.functions.registry import ANY, boolean, function, mistyped
from skerry.templates.values import is_integer, same

Lazy = Callable[[], Any]


@function("if", 3, 3, lazy=True, passes=True)
def if_(condition: Lazy, positive: Lazy, negative: Lazy) -> Any:
    return positive() if boolean(condition()) else negative()


@function("and", 2, ANY, lazy=True)
def and_(*conditions: Lazy) -> bool:
    return all(boolean(condition()) for condition in conditions)


@function("or", 2, ANY, lazy=True)
def or_(*conditions: Lazy) -> bool:
    return any(boolean(condition()) for condition in conditions)


@function("not", 1, 1)
def not_(value: Any) -> bool:
    return not boolean(value)


@function("true", 0, 0)
def true() -> bool:
    return True


@function("false", 0, 0)
def false() -> bool:
    return False


@function("null", 0, 0)
def null() -> None:
    return None


@function("coalesce", 1, ANY, lazy=True, passes=True)
def coalesce(*candidates: Lazy) -> Any:
    return next((value for value in (candidate() for candidate in candidates) if value is not None), None)


@function("bool", 1, 1)
def bool_(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if is_integer(value):
        return value != 0
    if isinstance(value, str):
        if value.strip().lower() in ("true", "1"):
            return True
        if value.strip().lower() in ("false", "0"):
            return False
        raise Fault("the string is neither 'true' nor 'false'.")
    raise mistyped("a string or an integer", value)


@function("equals", 2, 2)
def equals(left: Any, right: Any) -> bool:
    """Case-sensitive for strings; values of different types are not equal."""
    return same(left, right)


def _order(left: Any, right: Any) -> int:
    if is_integer(left) and is_integer(right):
        return (left > right) - (left < right)
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    raise Fault("it compares two integers or two strings.")


@function("less", 2, 2)
def less(left: Any, right: Any) -> bool:
    return _order(left, right) < 0


@function("lessOrEquals", 2, 2)
def less_or_equals(left: Any, right: Any) -> bool:
    return _order(left, right) <= 0


@function("greater", 2, 2)
def greater(left: Any, right: Any) -> bool:
    return _order(left, right) > 0


@function("greaterOrEquals", 2, 2)
def greater_or_equals(left: Any, right: Any) -> bool:
    return _order(left, right) >= 0
