"""Integers of 64 bits, as .NET's: division truncates, the remainder has the dividend's sign."""

from __future__ import annotations

import re
from typing import Any

from skerry.templates.errors import Fault
from skerry.templates.functions.registry import ANY, function, integer, mistyped
from skerry.templates.values import is_integer


def _fits(value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise Fault("the result does not fit into 64 bits.")
    return value


@function("add", 2, 2)
def add(left: Any, right: Any) -> int:
    return _fits(integer(left) + integer(right))


@function("sub", 2, 2)
def sub(left: Any, right: Any) -> int:
    return _fits(integer(left) - integer(right))


@function("mul", 2, 2)
def mul(left: Any, right: Any) -> int:
    return _fits(integer(left) * integer(right))


@function("div", 2, 2)
def div(left: Any, right: Any) -> int:
    dividend, divisor = integer(left), integer(right)
    if divisor == 0:
        raise Fault("it divides by zero.")
    quotient = abs(dividend) // abs(divisor)
    return _fits(quotient if (dividend < 0) == (divisor < 0) else -quotient)


@function("mod", 2, 2)
def mod(left: Any, right: Any) -> int:
    dividend, divisor = integer(left), integer(right)
    if divisor == 0:
        raise Fault("it divides by zero.")
    remainder = abs(dividend) % abs(divisor)
    return -remainder if dividend < 0 else remainder


@function("int", 1, 1)
def int_(value: Any) -> int:
    if is_integer(value):
        return value
    if isinstance(value, float) and value.is_integer():
        return _fits(int(value))
    if not isinstance(value, str):
        raise mistyped("a string or an integer", value)
    if not re.fullmatch(r"\s*[+-]?[0-9]{1,19}\s*", value):
        raise Fault("the string is not an integer.")
    return _fits(int(value))


@function("min", 1, ANY)
def min_(*values: Any) -> int:
    return min(_integers(values))


@function("max", 1, ANY)
def max_(*values: Any) -> int:
    return max(_integers(values))


def _integers(values: tuple[Any, ...]) -> list[int]:
    """Integers given one by one or as one array."""
    items = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    if not items:
        raise Fault("it needs at least one integer.")
    return [integer(item) for item in items]
