"""What an expression can see from where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from skerry.templates.scope import Scope

Reference = Callable[[str, str | None, bool], Any]
"""reference(id or name, api-version or None, full) → the resource's state."""


@dataclass(frozen=True, slots=True)
class UserFunction:
    """One member of the template's `functions`; `parameters` are its names, `path` is where its output is."""

    parameters: tuple[str, ...]
    output: Any
    path: str


class Names(Protocol):
    """The names of one template. Look-ups ignore case and raise Fault for a name that is not there."""

    def parameter(self, name: str, /) -> Any: ...
    def variable(self, name: str, /) -> Any: ...
    def function(self, name: str, /) -> UserFunction | None: ...
    def deployment(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Frame:
    """`loops` maps each copy loop around the expression (lower case) to its index; `unnamed_loop` is the one that
    `copyIndex()` without a name means. `reference` is None where ARM allows no runtime state."""

    scope: Scope
    names: Names
    loops: Mapping[str, int] = field(default_factory=dict)
    unnamed_loop: str | None = None
    reference: Reference | None = None
    in_defaults: bool = False

    def inside(self, loop: str, index: int) -> Frame:
        """One turn of a loop. The outermost stays what `copyIndex()` without a name means."""
        name = loop.lower()
        return replace(self, loops={**self.loops, name: index}, unnamed_loop=self.unnamed_loop or name)

    def at_runtime(self, reference: Reference | None) -> Frame:
        return replace(self, reference=reference)
