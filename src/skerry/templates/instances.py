"""From resources as written to resources as deployed: loops unrolled, children named, ids built."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skerry.templates.errors import TemplateError, invalid
from skerry.templates.evaluate import copy_count, evaluate_text
from skerry.templates.frame import Frame
from skerry.templates.functions.resources import provider_path
from skerry.templates.template import DEPLOYMENTS, MAX_RESOURCES, Declaration
from skerry.templates.values import kind

_API_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(-[A-Za-z0-9.]+)?")


@dataclass(frozen=True, eq=False)
class Instance:
    """One resource of a deployment. `turn` is its index in the declaration's loop, 0 without one."""

    declaration: Declaration
    frame: Frame
    turn: int
    batch: int
    id: str
    type: str
    name: str
    api_version: str
    location: str | None
    condition: bool
    scope_group: str | None

    @property
    def key(self) -> str:
        return self.id.lower()

    @property
    def existing(self) -> bool:
        return self.declaration.fields.get("existing") is True


def instances(declarations: tuple[Declaration, ...], frame: Frame) -> list[Instance]:
    """All resources in the order written. Raises TemplateError(InvalidTemplate).

    Where a name is there twice, one may have a true condition; the others are left out.
    """
    result: dict[str, Instance] = {}
    total = 0
    for declaration in declarations:
        for instance in _of_declaration(declaration, frame, None):
            total += 1
            if total > MAX_RESOURCES:
                raise invalid(f"The number of template resources limit exceeded. Limit: {MAX_RESOURCES}", "resources")
            _add(result, instance)
    return list(result.values())


def _add(result: dict[str, Instance], instance: Instance) -> None:
    key = instance.key if not instance.existing else f"{instance.declaration.path}:{instance.key}"
    other = result.get(key)
    if other and other.condition and instance.condition:
        message = f"The resource '{instance.id}' is defined multiple times in a template"
        raise invalid(message, instance.declaration.path)
    if other is None or instance.condition:
        result[key] = instance


def _of_declaration(declaration: Declaration, frame: Frame, parent: Instance | None) -> Iterator[Instance]:
    for turn, batch, inner in _turns(declaration, frame):
        instance = _Builder(declaration, inner, parent).instance(turn, batch)
        yield instance
        for child in declaration.children:
            yield from _of_declaration(child, inner, instance)


def _turns(declaration: Declaration, frame: Frame) -> Iterator[tuple[int, int, Frame]]:
    """(index, batch, frame) of each turn of the declaration's loop."""
    loop = declaration.loop
    if loop is None:
        yield 0, 0, frame
        return
    count = copy_count(loop.count, frame, f"{loop.path}.count")
    size = count if loop.batch is None else copy_count(loop.batch, frame, f"{loop.path}.batchSize")
    if count and size < 1:
        raise invalid(f"The batchSize of the copy loop in '{loop.path}' is not positive", loop.path)
    for turn in range(count):
        yield turn, turn // size, frame.inside(loop.name, turn)


class _Builder:
    """Evaluates the fields of one resource that are known before anything is deployed."""

    def __init__(self, declaration: Declaration, frame: Frame, parent: Instance | None) -> None:
        self._declaration = declaration
        self._frame = frame
        self._parent = parent

    def instance(self, turn: int, batch: int) -> Instance:
        type_, name = self._type_and_name()
        group = self._text("resourceGroup")
        return Instance(
            declaration=self._declaration,
            frame=self._frame,
            turn=turn,
            batch=batch,
            id=f"{self._base(group)}/{provider_path(type_, name.split('/'))}",
            type=type_,
            name=name,
            api_version=self._api_version(),
            location=self._text("location"),
            condition=self._condition(),
            scope_group=group if type_.lower() == DEPLOYMENTS else None,
        )

    def _error(self, problem: str) -> TemplateError:
        return invalid(
            f"The template resource in '{self._declaration.path}' is not valid: {problem}", self._declaration.path
        )

    def _value(self, field: str) -> Any:
        value = self._declaration.fields.get(field.lower())
        return (
            evaluate_text(value, self._frame, f"{self._declaration.path}.{field}") if isinstance(value, str) else value
        )

    def _text(self, field: str) -> str | None:
        value = self._value(field)
        if value is not None and not isinstance(value, str):
            raise self._error(f"its '{field}' is a value of type '{kind(value)}', not a string")
        return value

    def _needed(self, field: str) -> str:
        value = self._text(field)
        if not value:
            raise self._error(f"the '{field}' property cannot be null or empty")
        return value

    def _type_and_name(self) -> tuple[str, str]:
        type_, name = self._needed("type"), self._needed("name")
        parent = self._parent
        if parent and not type_.lower().startswith(parent.type.lower() + "/"):
            type_, name = f"{parent.type}/{type_}", f"{parent.name}/{name}"
        types, names = type_.split("/"), name.split("/")
        if len(types) < 2 or "." not in types[0] or not all(types):
            raise self._error(f"its type '{type_}' is not of the form 'Namespace/type'")
        if not all(names):
            raise self._error(f"its name '{name}' has an empty segment")
        if len(names) != len(types) - 1:
            raise self._error(
                f"the name '{name}' has incorrect segment lengths for the type '{type_}'. A nested resource type must "
                "have identical number of segments as its resource name. A root resource type must have segment length "
                "one greater than its resource name"
            )
        return type_, name

    def _base(self, group: str | None) -> str:
        """The id below which the resource lies: its group, or for an extension resource what it extends."""
        if self._declaration.fields.get("scope") is not None:
            return self._extended(self._needed("scope"))
        scope = self._frame.scope
        subscription = self._text("subscriptionId") or scope.subscription_id
        if group or subscription.lower() != scope.subscription_id.lower():
            return f"/subscriptions/{subscription}/resourceGroups/{group or scope.resource_group}"
        return scope.resource_group_id

    def _extended(self, target: str) -> str:
        if target.startswith("/subscriptions/"):
            return target.rstrip("/")
        if "/" not in target.strip("/") or "." not in target.split("/", maxsplit=1)[0]:
            raise self._error(f"its scope '{target}' is neither a resource id nor of the form 'Namespace/type/name'")
        return f"{self._frame.scope.resource_group_id}/providers/{target.strip('/')}"

    def _api_version(self) -> str:
        version = self._needed("apiVersion")
        if not _API_VERSION.fullmatch(version):
            raise self._error(f"its apiVersion '{version[:40]}' is not a date such as '2024-11-01'")
        return version

    def _condition(self) -> bool:
        value = self._value("condition")
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if value is not None and not isinstance(value, bool):
            raise self._error(f"its condition is a value of type '{kind(value)}', not a boolean")
        return value is not False
