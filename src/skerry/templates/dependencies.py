"""What must be deployed before what."""

from __future__ import annotations

import heapq
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from skerry.templates.errors import Fault, TemplateError, invalid
from skerry.templates.evaluate import Budget, evaluate, evaluate_text, expand
from skerry.templates.expression import Access, Call, Index, Literal, Node, is_expression, parse
from skerry.templates.frame import Frame
from skerry.templates.instances import Instance
from skerry.templates.template import split_inner
from skerry.templates.values import kind

_INDEXED = re.compile(r"(.+)\[([0-9]{1,4})\]")
_COLLECTING_LIMIT = 32 * 1024 * 1024


class Directory:
    """Finds the resources that a dependency or a reference means, in any casing."""

    def __init__(self, resources: Iterable[Instance]) -> None:
        self._ids: dict[str, list[Instance]] = defaultdict(list)
        self._names: dict[str, list[Instance]] = defaultdict(list)
        self._loops: dict[str, list[Instance]] = defaultdict(list)
        self._symbols: dict[str, list[Instance]] = defaultdict(list)
        for resource in resources:
            self._add(resource)

    def _add(self, resource: Instance) -> None:
        declaration = resource.declaration
        if declaration.symbol:
            self._symbols[declaration.symbol.lower()].append(resource)
        if resource.existing:
            return
        relative = resource.key.rpartition("/providers/")[2]
        for form in {resource.key, relative, f"{resource.type}/{resource.name}".lower()}:
            self._ids[form].append(resource)
        self._names[resource.name.lower()].append(resource)
        if declaration.loop:
            self._loops[declaration.loop.name.lower()].append(resource)

    def dependency(self, text: str) -> list[Instance]:
        """What a `dependsOn` names: a symbolic name, an id, `Type/name`, a name, or a loop (all its resources)."""
        return self._symbol(text) or self._resource(text) or self._loops.get(text.lower(), [])

    def referenced(self, text: str) -> Instance | None:
        """The one resource that `reference(text)` means, None if it is not in the template.

        Raises Fault where several have that name.
        """
        found = self._symbol(text) or self._resource(text)
        if len(found) > 1:
            raise Fault(f"the resource '{text}' is ambiguous: the template has {len(found)} of that name.")
        return found[0] if found else None

    def _symbol(self, text: str) -> list[Instance]:
        indexed = _INDEXED.fullmatch(text)
        if indexed and indexed.group(1).lower() in self._symbols:
            return [item for item in self._symbols[indexed.group(1).lower()] if item.turn == int(indexed.group(2))]
        return self._symbols.get(text.lower(), [])

    def _resource(self, text: str) -> list[Instance]:
        form = "/" + text.strip("/").lower() if text.startswith("/") else text.strip("/").lower()
        return self._ids.get(form) or self._names.get(form, [])


def dependencies(resources: list[Instance]) -> dict[str, frozenset[str]]:
    """The ids (lower case) that each resource waits for, by its id in lower case.

    From dependsOn, from `reference()` in its properties, and from the batch before in a serial loop. Resources
    whose condition is false are not waited for. Raises TemplateError(InvalidTemplate).
    """
    directory = Directory(resources)
    batches = _batches(resources)
    budget = Budget(_COLLECTING_LIMIT)
    result: dict[str, frozenset[str]] = {}
    for resource in resources:
        if not resource.existing:
            found = [*_explicit(resource, directory), *_implicit(resource, directory, budget)]
            found += batches.get((resource.declaration.path, resource.batch - 1), ())
            result[resource.key] = frozenset(item.key for item in found if item.condition and not item.existing)
    return result


def _batches(resources: list[Instance]) -> Mapping[tuple[str, int], list[Instance]]:
    result: dict[tuple[str, int], list[Instance]] = defaultdict(list)
    for resource in resources:
        if resource.declaration.loop:
            result[resource.declaration.path, resource.batch].append(resource)
    return result


def _explicit(resource: Instance, directory: Directory) -> Iterator[Instance]:
    path = f"{resource.declaration.path}.dependsOn"
    for index, text in enumerate(_depends_on(resource, path)):
        if not isinstance(text, str):
            raise invalid(f"The dependency in '{path}[{index}]' is a value of type '{kind(text)}', not a string", path)
        found = directory.dependency(text)
        if not found:
            raise _undefined(text, f"{path}[{index}]")
        yield from found


def _depends_on(resource: Instance, path: str) -> list[Any]:
    value = resource.declaration.fields.get("dependson", [])
    if isinstance(value, str):
        value = evaluate_text(value, resource.frame, path)
    if not isinstance(value, list):
        raise invalid(f"'{path}' is not an array", path)
    evaluated: list[Any] = expand(value, resource.frame, path)
    return [text for text in evaluated if text is not None and text != ""]


def _undefined(text: str, path: str) -> TemplateError:
    return invalid(
        f"The resource '{text}' is not defined in the template. Please see https://aka.ms/arm-syntax for usage details",
        path,
    )


def _implicit(resource: Instance, directory: Directory, budget: Budget) -> list[Instance]:
    """What `reference()` in the properties asks for, found without evaluating the rest."""
    properties = resource.declaration.fields.get("properties")
    if not resource.declaration.asks_state or not resource.condition:
        return []
    found: list[Instance] = []

    def collect(text: str, frame: Frame, _path: str) -> None:
        if is_expression(text) and "reference" in text.lower():
            found.extend(_referenced(parse(text), frame, directory))

    outer, _ = split_inner(properties)
    expand(outer, resource.frame, f"{resource.declaration.path}.properties", collect, budget)
    return found


def _referenced(node: Node, frame: Frame, directory: Directory) -> Iterator[Instance]:
    """Every resource that the expression may refer to. Arguments that need runtime state themselves are left out."""
    if isinstance(node, Literal):
        return
    if isinstance(node, Access):
        yield from _referenced(node.base, frame, directory)
        for step in node.steps:
            if isinstance(step, Index):
                yield from _referenced(step.key, frame, directory)
        return
    if node.name.lower() == "reference":
        yield from _target(node, frame, directory)
    for argument in _taken(node, frame):
        yield from _referenced(argument, frame, directory)


def _target(node: Call, frame: Frame, directory: Directory) -> Iterator[Instance]:
    try:
        text = evaluate(node.arguments[0], frame)
        found = directory.referenced(text) if isinstance(text, str) else None
    except TemplateError:
        return
    if found:
        yield found


def _taken(node: Call, frame: Frame) -> tuple[Node, ...]:
    """A call's arguments; of an `if` whose condition is known, only the branch that will be taken."""
    if node.name.lower() != "if" or len(node.arguments) != 3:
        return node.arguments
    try:
        condition = evaluate(node.arguments[0], frame)
    except TemplateError:
        return node.arguments
    return (node.arguments[1] if condition is True else node.arguments[2],)


def ordered(resources: list[Instance], waits: Mapping[str, frozenset[str]]) -> list[Instance]:
    """Each resource after all it waits for, else in the order written. Raises TemplateError that names a circle."""
    position = {resource.key: index for index, resource in enumerate(resources)}
    followers: dict[str, list[str]] = defaultdict(list)
    left = {key: len(before) for key, before in waits.items()}
    for key, before in waits.items():
        for earlier in before:
            followers[earlier].append(key)
    ready = [position[key] for key, count in left.items() if count == 0]
    heapq.heapify(ready)
    result: list[Instance] = []
    while ready:
        resource = resources[heapq.heappop(ready)]
        result.append(resource)
        for key in followers[resource.key]:
            left[key] -= 1
            if left[key] == 0:
                heapq.heappush(ready, position[key])
    if len(result) < len(resources):
        raise _circle(resources, waits, left)
    return result


def _circle(resources: list[Instance], waits: Mapping[str, frozenset[str]], left: Mapping[str, int]) -> TemplateError:
    by_key = {resource.key: resource for resource in resources if left[resource.key]}
    path = [next(iter(by_key))]
    while path[-1] not in path[:-1]:
        path.append(min(key for key in waits[path[-1]] if key in by_key))
    circle = [by_key[key] for key in path[path.index(path[-1]) :]]
    names = " → ".join(f"{item.type}/{item.name}" for item in circle)
    return invalid(
        f"Circular dependency detected on resource: '{circle[0].id}': {names}. Please see "
        "https://aka.ms/arm-syntax-resources for usage details",
        circle[0].declaration.path,
    )
