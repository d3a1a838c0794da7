"""A template as a plan: what to deploy, in which order, with which bodies, and what comes out.

plan = Plan.load(template, parameters, scope)
for resource in plan.resources:             # after all that it depends on
    body = resource.body(reference)         # when those have been deployed
plan.outputs(reference)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from skerry.templates.dependencies import Directory, dependencies, ordered
from skerry.templates.errors import OUTPUT_FAILED, Fault, TemplateError, invalid
from skerry.templates.evaluate import expand, expand_copy
from skerry.templates.frame import Clock, Frame, Reference
from skerry.templates.instances import Instance, instances
from skerry.templates.names import TemplateNames
from skerry.templates.nested import deployment_properties
from skerry.templates.parameters import kind_of_type
from skerry.templates.scope import Scope
from skerry.templates.template import DEPLOYMENTS, Output, load_template
from skerry.templates.values import find_key, kind

__all__ = ["Plan", "PlannedResource", "Reference", "Scope"]

# Keys of a resource that steer the deployment and are no part of what is PUT.
_STEERING = {
    "apiversion", "name", "type", "dependson", "copy", "condition", "comments", "metadata", "resources", "scope",
    "existing", "resourcegroup", "subscriptionid",
}  # fmt: skip
_BODY_KEYS = (
    "location",
    "tags",
    "sku",
    "zones",
    "identity",
    "plan",
    "kind",
    "properties",
    "extendedLocation",
    "managedBy",
)
_CANONICAL = {key.lower(): key for key in _BODY_KEYS}


@dataclass(frozen=True)
class PlannedResource:
    """One resource to deploy. `depends_on` holds ids of the plan in lower case. With a false `condition` it is to be
    skipped. `scope_group` is the `resourceGroup` of a nested deployment, where it names one."""

    id: str
    type: str
    name: str
    api_version: str
    location: str | None
    depends_on: frozenset[str]
    condition: bool
    scope_group: str | None
    _evaluate: Callable[[Reference], dict[str, Any]] = field(repr=False, compare=False)

    def body(self, reference: Reference) -> dict[str, Any]:
        """The evaluated body to PUT.

        `reference(id, api_version or None, full)` is called with full ids only, and answers a resource's properties,
        or with `full` the whole resource. Raises TemplateError(InvalidTemplate) and what `reference` raises.
        """
        return self._evaluate(reference)


class Plan:
    """A template with its parameters bound. Make one with `load`."""

    def __init__(self, outputs: tuple[Output, ...], names: TemplateNames, frame: Frame, found: list[Instance]) -> None:
        self._outputs = outputs
        self._names = names
        self._frame = frame
        self._directory = Directory(found)
        waits = dependencies(found)
        deployed = ordered([item for item in found if not item.existing], waits)
        self.resources: tuple[PlannedResource, ...] = tuple(self._planned(item, waits[item.key]) for item in deployed)

    @classmethod
    def load(cls, template: dict[str, Any], parameters: dict[str, Any], scope: Scope) -> Plan:
        """Check and plan a template with the request's parameters (`{"name": {"value": …}}`).

        `newGuid()` and `utcNow()` in defaults differ between calls; to plan again later with the same values, pass
        what `resolved_parameters` answered. Raises TemplateError(InvalidTemplate) for whatever is wrong.
        """
        clock = Clock()
        with _bounded(clock):
            loaded = load_template(template)
            names = TemplateNames(loaded, parameters, scope, clock)
            names.resolved_parameters()
            frame = Frame(scope, names, clock)
            return cls(loaded.outputs, names, frame, instances(loaded.resources, frame))

    def _planned(self, item: Instance, waits: frozenset[str]) -> PlannedResource:
        def evaluated(reference: Reference) -> dict[str, Any]:
            return self._body(item, reference)

        return PlannedResource(
            item.id,
            item.type,
            item.name,
            item.api_version,
            item.location,
            waits,
            item.condition,
            item.scope_group,
            evaluated,
        )

    def _body(self, item: Instance, reference: Reference) -> dict[str, Any]:
        result: dict[str, Any] = {}
        with _bounded(self._frame.clock):
            for key, value in item.declaration.body.items():
                if key.lower() not in _STEERING:
                    name = _CANONICAL.get(key.lower(), key)
                    result[name] = self._section(item, name, value, reference)
            return copy.deepcopy(result)

    def _section(self, item: Instance, name: str, value: Any, reference: Reference) -> Any:
        path = f"{item.declaration.path}.{name}"
        if name != "properties":
            return expand(value, item.frame, path)
        frame = item.frame.at_runtime(self._resolving(reference))
        if item.type.lower() == DEPLOYMENTS:
            return deployment_properties(value, frame, path)
        return expand(value, frame, path)

    def _resolving(self, reference: Reference) -> Reference:
        """`reference` for expressions: names become ids, and the template's resources bring their api-version."""

        def resolve(text: str, api_version: str | None, full: bool) -> Any:
            found = self._directory.referenced(text)
            if found:
                return reference(found.id, api_version or found.api_version, full)
            if not text.startswith("/"):
                raise Fault(f"the resource '{text}' is not defined in the template.")
            if api_version is None:
                raise Fault(
                    f"the resource '{text}' is not defined in the template, so that its api-version must be given."
                )
            return reference(text, api_version, full)

        return resolve

    def outputs(self, reference: Reference) -> dict[str, Any]:
        """The outputs as ARM shows them: name → type and value; a secure one has no value.

        Raises TemplateError(DeploymentOutputEvaluationFailed).
        """
        frame = self._frame.at_runtime(self._resolving(reference))
        result: dict[str, Any] = {}
        with _bounded(self._frame.clock):
            for output in self._outputs:
                try:
                    if self._wanted(output, frame):
                        result[output.name] = self._output(output, frame)
                except TemplateError as error:
                    message = f"Unable to evaluate template outputs: '{output.name}'. {error.message}"
                    raise TemplateError(OUTPUT_FAILED, message, error.target) from error
            return copy.deepcopy(result)

    def _wanted(self, output: Output, frame: Frame) -> bool:
        condition = expand(output.fields.get("condition", True), frame.at_runtime(None), f"{output.path}.condition")
        if not isinstance(condition, bool):
            raise invalid(f"The condition of the template output '{output.name}' is not a boolean", output.path)
        return condition

    def _output(self, output: Output, frame: Frame) -> dict[str, Any]:
        if "copy" in output.fields:
            value = _copied(output, frame)
        else:
            value = expand(output.fields.get("value"), frame, f"{output.path}.value")
        wanted = kind_of_type(output.type)
        if kind(value) != wanted and not (value is None and output.fields.get("nullable") is True):
            problem = f"Template output JToken type is not valid. Expected '{wanted}'. Actual '{kind(value)}'"
            raise invalid(f"The template output '{output.name}' is not valid: {problem}", output.path)
        return {"type": output.type} | ({} if output.secure else {"value": value})

    def parameters_view(self) -> dict[str, Any]:
        """The parameters as ARM echoes them: name → type and value; a secure one has no value."""
        return copy.deepcopy(self._names.parameters_view())

    def resolved_parameters(self) -> dict[str, Any]:
        """All values, defaults and secrets too, in the form that `load` takes."""
        return copy.deepcopy(self._names.resolved_parameters())

    def dependencies_view(self) -> list[dict[str, Any]]:
        """ARM's `properties.dependencies`: each resource that waits for others, with those."""
        by_key = {item.id.lower(): item for item in self.resources}
        return [
            {"dependsOn": [_named(by_key[key]) for key in by_key if key in item.depends_on], **_named(item)}
            for item in self.resources
            if item.depends_on
        ]

    def providers_view(self) -> list[dict[str, Any]]:
        """ARM's `properties.providers`: namespaces, their types and the locations they are deployed to."""
        found: dict[str, dict[str, list[str | None]]] = {}
        for item in self.resources:
            namespace, _, type_ = item.type.partition("/")
            types = found.setdefault(find_key(found, namespace) or namespace, {})
            locations = types.setdefault(find_key(types, type_) or type_, [])
            if item.location not in locations:
                locations.append(item.location)
        return [
            {
                "namespace": namespace,
                "resourceTypes": [{"resourceType": type_, "locations": where} for type_, where in types.items()],
            }
            for namespace, types in found.items()
        ]


def _named(resource: PlannedResource) -> dict[str, str]:
    return {"id": resource.id, "resourceType": resource.type, "resourceName": resource.name}


def _copied(output: Output, frame: Frame) -> list[Any]:
    loop: Mapping[str, Any] = output.fields["copy"] if isinstance(output.fields["copy"], dict) else {}
    if loop.keys() != {"count", "input"}:
        raise invalid(
            f"The copy of the template output '{output.name}' must have a 'count' and an 'input'", output.path
        )
    return expand_copy(output.name, loop, frame, f"{output.path}.copy")


@contextmanager
def _bounded(clock: Clock) -> Iterator[None]:
    """Gives evaluating its time anew, and turns Python's recursion limit, which chains of some hundred variables can
    reach, into an error of the template."""
    clock.restart()
    try:
        yield
    except RecursionError:
        raise invalid(
            "The template is nested too deeply: its values depend on each other in too long a chain"
        ) from None
