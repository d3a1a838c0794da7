"""From syntax trees and JSON trees to values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from skerry.templates.errors import Fault, invalid, misplaced
from skerry.templates.expression import Access, Call, Index, Literal, Node, is_expression, parse, unescape
from skerry.templates.frame import Frame, UserFunction
from skerry.templates.functions import Function, find
from skerry.templates.values import MAX_WEIGHT, find_key, is_integer, kind, weigh, within_text

MAX_COPIES = 800  # ARM's limit for one loop
_TOO_LARGE = "The value grows beyond the 4 MB that a template may have"

Leaf = Callable[[str, Frame, str], Any]
"""leaf(text, frame, path) → the value that a string of the template stands for."""


def evaluate_text(text: str, frame: Frame, path: str) -> Any:
    """The value of one string of the template at `path`: an expression's result, else the text itself.

    Raises TemplateError that names the expression, its offset and `path`.
    """
    if not is_expression(text):
        return unescape(text)
    try:
        return evaluate(parse(text), frame)
    except Fault as fault:
        raise misplaced(fault, text, path) from None


def evaluate(node: Node, frame: Frame) -> Any:
    """Raises Fault with an offset into the expression."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Access):
        return _access(node, frame)
    if "." in node.name:
        return _user_call(node, frame)
    try:
        frame.clock.check()
        found = find(node.name)
    except Fault as fault:
        raise Fault(fault.message, node.offset) from None
    return _call(found, node, frame)


def _call(found: Function, node: Call, frame: Frame) -> Any:
    arguments: list[Any] = [frame] if found.framed else []
    if found.lazy:
        arguments += [_later(argument, frame) for argument in node.arguments]
    else:
        arguments += [evaluate(argument, frame) for argument in node.arguments]
    try:
        found.check_count(len(node.arguments))
        result = found.call(*arguments)
        if not found.passes:
            _check_size(result)
    except Fault as fault:
        if fault.offset is not None:
            raise
        message = f"Unable to evaluate template language function '{found.name}': {fault.message}"
        raise Fault(message, node.offset) from None
    return result


def _later(node: Node, frame: Frame) -> Callable[[], Any]:
    return lambda: evaluate(node, frame)


def _check_size(value: Any) -> None:
    if isinstance(value, str):
        within_text(len(value))
    elif isinstance(value, list | dict):
        weigh(value)


class _Arguments:
    """The names a user's function can see: its own parameters, nothing else."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def parameter(self, name: str) -> Any:
        if name.lower() not in self._values:
            raise Fault(f"the parameter '{name}' of the user-defined function is not found.")
        return self._values[name.lower()]

    def variable(self, name: str) -> Any:
        raise Fault(f"a user-defined function cannot use variables such as '{name}'.")

    def function(self, _name: str) -> UserFunction | None:
        return None

    def deployment(self) -> dict[str, Any]:
        raise Fault("a user-defined function cannot ask for the deployment.")


def _user_call(node: Call, frame: Frame) -> Any:
    found = frame.names.function(node.name)
    if found is None:
        raise Fault(f"The template function '{node.name}' is not valid.", node.offset)
    if len(node.arguments) != len(found.parameters):
        wanted = f"takes {len(found.parameters)} argument(s), and {len(node.arguments)} were given"
        raise Fault(f"The user-defined function '{node.name}' {wanted}.", node.offset)
    values = [evaluate(argument, frame) for argument in node.arguments]
    inner = Frame(frame.scope, _Arguments(dict(zip(found.parameters, values, strict=True))), frame.clock)
    return expand(found.output, inner, found.path)


def _access(node: Access, frame: Frame) -> Any:
    value = evaluate(node.base, frame)
    for step in node.steps:
        key = evaluate(step.key, frame) if isinstance(step, Index) else step.name
        try:
            value = _member(value, key)
        except Fault as fault:
            raise Fault(fault.message, step.offset) from None
    return value


def _member(value: Any, key: Any) -> Any:
    """One step: an object's property in any case, or an array's element."""
    if isinstance(value, list) and is_integer(key):
        if not 0 <= key < len(value):
            raise Fault(f"The language expression property array index '{key}' is out of bounds.")
        return value[key]
    if not isinstance(value, dict) or not isinstance(key, str):
        shown = f"'{key}'" if isinstance(key, str | int) else f"of type '{kind(key)}'"
        raise Fault(f"The language expression property {shown} cannot be taken from a value of type '{kind(value)}'.")
    found = find_key(value, key)
    if found is None:
        available = ", ".join(list(value)[:20])
        raise Fault(f"The language expression property '{key}' doesn't exist, available properties are '{available}'.")
    return value[found]


class Budget:
    """How much larger a value may still grow, in the units of `values.weigh`."""

    def __init__(self, limit: int = MAX_WEIGHT) -> None:
        self._left = limit

    def spend(self, amount: int, path: str) -> None:
        self._left -= amount
        if self._left < 0:
            raise invalid(_TOO_LARGE, path)

    def spend_value(self, value: Any, path: str) -> None:
        try:
            self.spend(weigh(value, self._left), path)
        except Fault:
            raise invalid(_TOO_LARGE, path) from None


def expand(value: Any, frame: Frame, path: str, leaf: Leaf = evaluate_text, budget: Budget | None = None) -> Any:
    """A JSON tree of the template with every string replaced by `leaf` and property copies unrolled.

    Keys may be expressions too; they, and the counts of copies, never see runtime state.
    """
    return _Expansion(leaf, budget or Budget()).value(value, frame, path)


class _Expansion:
    def __init__(self, leaf: Leaf, budget: Budget) -> None:
        self._leaf = leaf
        self._budget = budget

    def value(self, value: Any, frame: Frame, path: str) -> Any:
        if isinstance(value, str):
            result = self._leaf(value, frame, path)
            self._budget.spend_value(result, path)
            return result
        self._budget.spend(16, path)
        if isinstance(value, list):
            return [self.value(item, frame, f"{path}[{index}]") for index, item in enumerate(value)]
        return self._object(value, frame, path) if isinstance(value, dict) else value

    def _object(self, value: dict[str, Any], frame: Frame, path: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in value.items():
            if key.lower() == "copy" and isinstance(item, list):
                for name, loop, place in copies(item, f"{path}.{key}"):
                    result[name] = self.turns(name, loop, frame, place)
            else:
                name = _key(key, frame, path)
                self._budget.spend(len(name), path)
                result[name] = self.value(item, frame, f"{path}.{key}")
        return result

    def turns(self, name: str, loop: Mapping[str, Any], frame: Frame, path: str) -> list[Any]:
        if name.lower() in frame.loops:
            raise invalid(f"The copy name '{name}' is already the name of a loop around it", path)
        count = copy_count(loop["count"], frame, f"{path}.count")
        return [self.value(loop["input"], frame.inside(name, index), f"{path}.input") for index in range(count)]


def expand_copy(name: str, loop: Mapping[str, Any], frame: Frame, path: str) -> list[Any]:
    """The values of one property, variable or output copy (`count` and `input`)."""
    return _Expansion(evaluate_text, Budget()).turns(name, loop, frame, path)


def _key(key: str, frame: Frame, path: str) -> str:
    name = evaluate_text(key, frame.at_runtime(None), path) if key.startswith("[") else key
    if not isinstance(name, str):
        raise invalid(f"The property name '{key}' evaluates to a value of type '{kind(name)}', not a string", path)
    return name


def copies(loops: Sequence[Any], path: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """(name, loop, path) of each property copy. Raises TemplateError for one that lacks name, count or input."""
    for index, loop in enumerate(loops):
        place = f"{path}[{index}]"
        fields = {key.lower(): item for key, item in loop.items()} if isinstance(loop, dict) else {}
        name = fields.get("name")
        if not isinstance(name, str) or not name or fields.keys() != {"name", "count", "input"}:
            raise invalid(f"The copy in '{place}' must be an object with a 'name', a 'count' and an 'input'", place)
        yield name, fields, place


def copy_count(value: Any, frame: Frame, path: str) -> int:
    """A loop's `count`: an integer, or an expression or string that stands for one, from 0 to 800."""
    count = evaluate_text(value, frame.at_runtime(None), path) if isinstance(value, str) else value
    if isinstance(count, str) and count.isascii() and count.isdigit() and len(count) < 10:
        count = int(count)
    if not is_integer(count):
        raise invalid(f"The template copy count in '{path}' is not an integer", path)
    if not 0 <= count <= MAX_COPIES:
        raise invalid(f"The copy count '{count}' in '{path}' is not between 0 and {MAX_COPIES}", path)
    return count
