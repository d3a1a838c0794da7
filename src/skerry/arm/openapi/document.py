"""Puts the document together: the paths of every type, view and list, and the components that they refer to."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Meta, Struct

from skerry.arm.conditions import SYNTAX
from skerry.arm.descriptor import Action, AnyType, ArmResource, EmbeddedType, Query, ResourceType, View
from skerry.arm.errors import ErrorDetail
from skerry.arm.openapi import fixed
from skerry.arm.openapi.operations import (
    ACT,
    CHANGE,
    READ,
    WRITE,
    Json,
    answer,
    error_responses,
    errors,
    operation,
    parameter,
    path_parameter,
    query_parameter,
    reference,
)
from skerry.arm.openapi.schemas import Form, Schemas
from skerry.arm.paging import MAX_PAGE
from skerry.arm.registry import API_VERSION, API_VERSIONS, GROUP_TYPE, Registry

SUBSCRIPTION = "/subscriptions/{subscriptionId}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{resourceGroupName}}"
_CONDITION = {"type": "string", "maxLength": 1024, "pattern": SYNTAX}
_TOP = Query("$top", Annotated[int, Meta(ge=1, le=MAX_PAGE)], "how many entries a page has at most")
_TEXT = """\
Azure Resource Manager, as this Skerry speaks it. Names of members and types, and the values of enumerations, match
without regard to case. A member that a type doesn't have is refused, unless it is null or empty. Every refusal is an
`Error`, whose `target` is the path of the property that it is about."""


class ErrorResponse(Struct):
    """A refusal."""

    error: ErrorDetail


def openapi(registry: Registry, version: str) -> Json:
    """The document for all types and views of a registry. `version` is Skerry's own."""
    return _Document(registry).make(version)


class _Document:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._schemas = Schemas([ErrorResponse, *fixed.TYPES, *_types(registry)])
        self._paths: dict[str, Json] = {}
        self._parameters: Json = {}

    def make(self, version: str) -> Json:
        for kind in self._registry.types.values():
            if isinstance(kind, EmbeddedType):
                self._embedded(kind)
            else:
                self._resource(kind)
        for _, view in self._registry.views:
            self._view(view)
        self._paths |= fixed.paths(self._schemas, self._registry)
        return {
            "openapi": "3.1.0",
            "info": {"title": "Skerry", "version": version, "description": _TEXT},
            "security": [{"bearer": []}],
            "paths": dict(sorted(self._paths.items())),
            "components": self._components(),
        }

    def _components(self) -> Json:
        refusals = error_responses(self._schemas.of(ErrorResponse))
        version = {"type": "string", "pattern": f"^{API_VERSION.pattern}$", "examples": list(API_VERSIONS[:1])}
        common = {
            "apiVersion": parameter("api-version", "query", version, "Any date from 2015-01-01 on", required=True),
            "subscriptionId": parameter(
                "subscriptionId", "path", {"type": "string", "format": "uuid"}, "The subscription", required=True
            ),
            "ifMatch": parameter("If-Match", "header", _CONDITION, "An ETag, or *"),
            "ifNoneMatch": parameter("If-None-Match", "header", _CONDITION, "An ETag, or *"),
            "top": query_parameter(_TOP),
            "skipToken": parameter("$skipToken", "query", {"type": "string"}, "Where to go on, from a nextLink"),
            "filter": parameter("$filter", "query", {"type": "string"}, "Which entries, see docs/api.md"),
        }
        return {
            "parameters": common | self._parameters,
            "responses": refusals,
            "schemas": dict(sorted(self._schemas.components.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        }

    # -- types with rows of their own

    def _resource(self, kind: ResourceType) -> None:
        path, tag = self._path(kind), _tag(kind.name)
        here = self._paths[path] = {"parameters": self._names(kind)}
        shown = self._schemas.resource(kind.model)
        here["get"] = operation(
            f"{tag}_Get",
            f"Read one of {kind.name}",
            {"200": answer("The resource", shown), **errors(READ)},
            [query_parameter(q) for q in kind.get_query],
        )
        here["head"] = operation(
            f"{tag}_CheckExistence", "Whether it is there", {"204": answer("It is"), **errors(READ, empty=True)}
        )
        here["delete"] = operation(
            f"{tag}_Delete",
            f"Delete one of {kind.name}",
            {
                "200": answer("It is gone"),
                "202": answer("It is going", started=True),
                "204": answer("It was not there"),
                **errors(CHANGE),
            },
            [*_CONDITIONS, *(query_parameter(q) for q in kind.delete_query)],
        )
        if kind.puts:
            here |= self._writes(kind, tag, shown)
        self._lists(kind, path, tag, shown)
        self._below(kind, path, tag)

    def _writes(self, kind: ResourceType, tag: str, shown: Json) -> Json:
        statuses = sorted({kind.created, kind.updated, kind.accepted or kind.created})
        stored = {str(status): answer("The resource as it is stored", shown, started=True) for status in statuses}
        done = {**stored, **errors(WRITE)}
        put = operation(
            f"{tag}_CreateOrUpdate",
            f"Make one of {kind.name}, or replace it",
            done,
            _CONDITIONS,
            self._body(kind, "Body"),
            needs_body=kind.parse is None,
        )
        patch = operation(
            f"{tag}_Update",
            "Change what the body names; tags are replaced whole",
            done,
            _CONDITIONS,
            self._body(kind, "Patch"),
            needs_body=kind.parse is None,
        )
        return {"put": put, "patch": patch}

    def _body(self, kind: ResourceType | Action, form: Form) -> Json:
        """A body that is read by a parser of the type's own may be anything: it says so later."""
        described = kind.body or kind.model if isinstance(kind, ResourceType) else kind.body
        schema = self._schemas.of(described, form)
        return {"anyOf": [schema, {}]} if kind.parse else schema

    def _lists(self, kind: ResourceType, path: str, tag: str, shown: Json) -> None:
        """A child type has no list of its own."""
        if kind.name.count("/") > 1:
            return
        listed = {"200": answer("A page", page_of(shown)), **errors(READ)}
        of_group = path.rpartition("/")[0]
        paging = [reference("top"), reference("skipToken")]
        scopes = {"": f"{SUBSCRIPTION}/providers/{kind.name}"}
        if kind.name == GROUP_TYPE:
            scopes, paging = {"": of_group}, [*paging, reference("filter")]
        elif kind.name.count("/") == 1:
            scopes["InGroup"] = of_group
        for suffix, where in scopes.items():
            names = [p for p in (reference("subscriptionId"), reference("resourceGroupName")) if _in(p, where)]
            query = [*paging, *(query_parameter(q) for q in kind.list_query)]
            get = operation(f"{tag}_List{suffix}", f"List {kind.name}", listed, query)
            self._paths[where] = {"parameters": names, "get": get}

    def _below(self, kind: ResourceType, path: str, tag: str) -> None:
        for name, view in kind.views.items():
            here = self._paths.setdefault(f"{path}/{name}", {"parameters": self._names(kind)})
            answers = {"200": answer("What it shows", self._schemas.of(view.answer)), **errors(READ)}
            here["get"] = operation(f"{tag}_{name}", name, answers, [query_parameter(q) for q in view.query])
        for name, action in kind.actions.items():
            here = self._paths.setdefault(f"{path}/{name}", {"parameters": self._names(kind)})
            ok = {"202": answer("It has begun", started=True)}
            if action.answer is not None:
                ok = {"200": answer("Its result", self._schemas.of(action.answer))}
            here["post"] = operation(
                f"{tag}_{name}",
                name,
                {**ok, **errors(ACT)},
                [query_parameter(q) for q in action.query],
                self._body(action, "Body"),
                needs_body=False,
            )

    # -- types inside others

    def _embedded(self, kind: EmbeddedType) -> None:
        path, tag, names = self._path(kind), _tag(kind.name), self._names(kind)
        shown = self._schemas.of(kind.model)
        here = self._paths[path] = {"parameters": names}
        one = {"200": answer("The resource", shown), **errors(READ)}
        here["get"] = operation(f"{tag}_Get", f"Read one of {kind.name}", one)
        here["head"] = operation(
            f"{tag}_CheckExistence", "Whether it is there", {"204": answer("It is"), **errors(READ, empty=True)}
        )
        of_parent = {"200": answer("All of them", page_of(shown)), **errors(READ)}
        self._paths[path.rpartition("/")[0]] = {
            "parameters": names[:-1],
            "get": operation(f"{tag}_List", f"List {kind.name}", of_parent),
        }
        if kind.read_only:
            return
        stored = {str(s): answer("The resource as it is stored", shown, started=True) for s in (200, 201)}
        here["put"] = operation(
            f"{tag}_CreateOrUpdate",
            f"Make one of {kind.name}, or replace it",
            {**stored, **errors(WRITE)},
            _CONDITIONS,
            self._schemas.of(kind.model, "Body"),
        )
        gone = {"200": answer("It is gone"), "202": answer("It is going", started=True), "204": answer("It wasn't")}
        here["delete"] = operation(
            f"{tag}_Delete", f"Delete one of {kind.name}", {**gone, **errors(CHANGE)}, _CONDITIONS
        )

    # -- views of no resource

    def _view(self, view: View) -> None:
        names = re.findall(r"\{([^}]*)\}", view.path)
        for name in names:
            self._parameters[name] = parameter(name, "path", _SEGMENT, name.capitalize(), required=True)
        answers = {"200": answer("What it shows", self._schemas.of(view.answer)), **errors(READ)}
        identifier = "_".join(
            [_tag(view.path.partition("/")[0]), re.sub(r"[^A-Za-z]", "", view.path.partition("/")[2])]
        )
        self._paths[f"{SUBSCRIPTION}/providers/{view.path}"] = {
            "parameters": [reference("subscriptionId"), *(reference(name) for name in names)],
            "get": operation(identifier, view.path, answers, [query_parameter(q) for q in view.query]),
        }
        if view.order is not None:
            taken = {"202": answer("It is taken up", self._schemas.of(view.order.answer)), **errors(ACT)}
            body = self._schemas.of(view.order.body, "Body")
            post = operation(f"{identifier}_Order", f"Order at {view.path}", taken, [], body)
            self._paths[f"{SUBSCRIPTION}/providers/{view.path}"]["post"] = post

    # -- paths and the names in them

    def _path(self, kind: AnyType) -> str:
        if kind.name == GROUP_TYPE:
            return GROUP
        namespace, *types = kind.name.split("/")
        return "/".join([GROUP, "providers", namespace, *(f"{t}/{{{_name_of(t)}}}" for t in types)])

    def _names(self, kind: AnyType) -> list[Json]:
        group = self._registry.get(GROUP_TYPE).name_pattern
        self._parameters["resourceGroupName"] = path_parameter("resourceGroupName", group, "The resource group")
        found = [reference("subscriptionId"), reference("resourceGroupName")]
        if kind.name == GROUP_TYPE:
            return found
        parts = kind.name.split("/")
        for end in range(2, len(parts) + 1):
            holder, name = self._registry.get("/".join(parts[:end])), _name_of(parts[end - 1])
            self._parameters[name] = path_parameter(name, holder.name_pattern, f"The name of one of {holder.name}")
            found.append(reference(name))
        return found


_CONDITIONS = (reference("ifMatch"), reference("ifNoneMatch"))
_SEGMENT: Json = {"type": "string", "minLength": 1, "maxLength": 90}


def page_of(item: Json) -> Json:
    """A list as ARM answers it."""
    return {
        "type": "object",
        "properties": {"value": {"type": "array", "items": item}, "nextLink": {"type": "string"}},
        "required": ["value"],
        "additionalProperties": False,
    }


def _types(registry: Registry) -> Iterator[Any]:
    for kind in registry.types.values():
        yield kind.model
        if isinstance(kind, ResourceType):
            yield kind.body or kind.model
            yield from (view.answer for view in kind.views.values())
            for action in kind.actions.values():
                yield from (action.body, *([action.answer] if action.answer is not None else []))
    for _, view in registry.views:
        yield view.answer
        yield from (view.order.body, view.order.answer) if view.order else ()
    yield ArmResource


def _in(named: Json, path: str) -> bool:
    return f"{{{named['$ref'].rpartition('/')[2]}}}" in path


def _tag(name: str) -> str:
    """`Microsoft.Network/virtualNetworks/subnets` → `VirtualNetworksSubnets`."""
    return "".join(part[:1].upper() + part[1:] for part in (name.split("/")[1:] or [name.rpartition(".")[2]]))


def _name_of(collection: str) -> str:
    """`virtualNetworks` → `virtualNetworkName`."""
    single = collection[:-2] if collection.endswith("sses") else collection[:-1]
    return f"{single}Name"
