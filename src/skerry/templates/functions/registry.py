"""The table of functions and the checks they share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from skerry.templates.errors import Fault
from skerry.templates.values import is_integer, kind

ANY = sys.maxsize
_Callable = TypeVar("_Callable", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Function:
    """`lazy` functions get their arguments as callables, `framed` ones the frame first. `passes`: the result was
    there before, so its size need not be checked again."""

    name: str
    least: int
    most: int
    call: Callable[..., Any]
    lazy: bool = False
    framed: bool = False
    passes: bool = False

    def check_count(self, count: int) -> None:
        if self.least <= count <= self.most:
            return
        wanted = str(self.least) if self.most == self.least else f"{self.least} to {self.most}"
        if self.most == ANY:
            wanted = f"at least {self.least}"
        raise Fault(f"it takes {wanted} argument(s), and {count} were given.")


_TABLE: dict[str, Function] = {}


def function(
    name: str, least: int, most: int, *, lazy: bool = False, framed: bool = False, passes: bool = False
) -> Callable[[_Callable], _Callable]:
    """Register a function that takes `least` to `most` arguments."""

    def register(call: _Callable) -> _Callable:
        _TABLE[name.lower()] = Function(name, least, most, call, lazy, framed, passes)
        return call

    return register


def find(name: str) -> Function:
    """The function of that name, in any case. Raises Fault that names one that is unknown or unsupported."""
    found = _TABLE.get(name.lower())
    if found:
        return found
    if name.lower().startswith("list"):
        raise Fault(f"The template function '{name}' is not supported: no resource here has keys to list.")
    raise Fault(f"The template function '{name}' is not valid.")


def mistyped(wanted: str, value: Any) -> Fault:
    return Fault(f"it expects {wanted}, and got a value of type '{kind(value)}'.")


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise mistyped("a string", value)
    return value


def integer(value: Any) -> int:
    if not is_integer(value):
        raise mistyped("an integer", value)
    return value


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise mistyped("a boolean", value)
    return value


def array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise mistyped("an array", value)
    return value


def mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise mistyped("an object", value)
    return value
