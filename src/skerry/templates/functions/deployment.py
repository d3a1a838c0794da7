"""What the template itself holds: parameters, variables, loops, and the state of other resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skerry.templates.errors import Fault
from skerry.templates.functions.registry import function, integer, text

if TYPE_CHECKING:
    from skerry.templates.frame import Frame


@function("parameters", 1, 1, framed=True, passes=True)
def parameters(frame: Frame, name: Any) -> Any:
    return frame.names.parameter(text(name))


@function("variables", 1, 1, framed=True, passes=True)
def variables(frame: Frame, name: Any) -> Any:
    return frame.names.variable(text(name))


@function("deployment", 0, 0, framed=True, passes=True)
def deployment(frame: Frame) -> dict[str, Any]:
    return frame.names.deployment()


@function("copyIndex", 0, 2, framed=True)
def copy_index(frame: Frame, loop_or_offset: Any = None, offset: Any = 0) -> int:
    """`copyIndex()`, `copyIndex(offset)`, `copyIndex('loop')` or `copyIndex('loop', offset)`."""
    if isinstance(loop_or_offset, str):
        name: str | None = loop_or_offset.lower()
    else:
        name, offset = frame.unnamed_loop, 0 if loop_or_offset is None else loop_or_offset
    if name is None:
        raise Fault("it is not expected here: it can be used only where a copy loop is specified.")
    if name not in frame.loops:
        raise Fault(f"the copy loop '{loop_or_offset}' is not around this expression.")
    return frame.loops[name] + integer(offset)


@function("reference", 1, 3, framed=True, passes=True)
def reference(frame: Frame, resource: Any, api_version: Any = None, full: Any = None) -> Any:
    """The runtime state of a resource: its properties, or the whole resource with `'Full'`."""
    if frame.reference is None:
        raise Fault("it is not expected here: it can be used only in a resource's properties and in outputs.")
    if full is not None and text(full).lower() != "full":
        raise Fault("its third argument can only be 'Full'.")
    version = None if api_version is None else text(api_version)
    return frame.reference(text(resource), version, full is not None)
