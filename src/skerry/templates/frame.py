"""What an expression can see from where it stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from skerry.templates.errors import Fault
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


class Clock:
    """How much CPU time of its thread evaluating may take: others wait for it.

    800 resources with 200 variables take a tenth of a second.
    """

    def __init__(self, seconds: float = 1) -> None:
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        self._end = time.thread_time() + self._seconds

    def check(self) -> None:
        """Raises Fault when the time is over."""
        if time.thread_time() > self._end:
            raise Fault(
                f"The template takes more than the {self._seconds:g} s of CPU time that evaluating it may take."
            )


@dataclass(frozen=True, slots=True)
class Frame:
    """`loops` maps each copy loop around the expression (lower case) to its index; `unnamed_loop` is the one that
    `copyIndex()` without a name means. `reference` is None where ARM allows no runtime state."""

    scope: Scope
    names: Names
    clock: Clock
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
