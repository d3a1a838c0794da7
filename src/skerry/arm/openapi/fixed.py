"""The paths that every registry has: subscriptions, locations, providers, resources, operations."""

from typing import Any, NotRequired, TypedDict

from skerry.arm.errors import ErrorDetail
from skerry.arm.openapi.operations import READ, Json, answer, errors, operation, parameter, reference
from skerry.arm.openapi.schemas import Schemas
from skerry.arm.registry import Registry

SUBSCRIPTION = "/subscriptions/{subscriptionId}"


class Tenant(TypedDict):
    """The tenant of this Skerry."""

    id: str
    tenantId: str
    displayName: str


class Subscription(TypedDict):
    """The subscription of this Skerry."""

    id: str
    subscriptionId: str
    tenantId: str
    displayName: str
    state: str
    subscriptionPolicies: dict[str, str]
    authorizationSource: str


class Location(TypedDict):
    """A location by name."""

    id: str
    name: str
    type: str
    displayName: str
    regionalDisplayName: str
    metadata: dict[str, str]


class ProviderType(TypedDict):
    """A type, and where and in which api-versions it is there."""

    resourceType: str
    locations: list[str]
    apiVersions: list[str]
    defaultApiVersion: str
    capabilities: str


class Provider(TypedDict):
    """A namespace with its types."""

    id: str
    namespace: str
    registrationState: str
    registrationPolicy: str
    resourceTypes: list[ProviderType]


class GenericResource(TypedDict):
    """Any resource, its envelope only."""

    id: str
    name: str
    type: str
    location: NotRequired[str]
    tags: NotRequired[dict[str, str]]
    sku: NotRequired[dict[str, Any]]
    zones: NotRequired[list[str]]
    kind: NotRequired[str]
    managedBy: NotRequired[str]


class OperationStatus(TypedDict):
    """How far an operation is: InProgress, then Succeeded, Failed or Canceled."""

    id: str
    name: str
    status: str
    startTime: str
    endTime: NotRequired[str]
    error: NotRequired[ErrorDetail]
    properties: NotRequired[dict[str, Any]]


TYPES = (Tenant, Subscription, Location, Provider, GenericResource, OperationStatus)
_IDENTIFIER: Json = {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9-]+$"}


def paths(schemas: Schemas, registry: Registry) -> dict[str, Json]:
    """The paths, by template."""
    subscription = [reference("subscriptionId")]
    namespaces = {"type": "string", "enum": sorted(registry.namespaces.values())}
    namespace = parameter("namespace", "path", namespaces, "A resource provider", required=True)
    paging = [reference("top"), reference("skipToken"), reference("filter")]
    provider, resource = schemas.of(Provider), schemas.of(GenericResource)

    def get(name: str, summary: str, schema: Json, parameters: list[Json] | None = None) -> Json:
        return operation(name, summary, {"200": answer(summary, schema), **errors(READ)}, parameters or [])

    return {
        "/tenants": {"get": get("Tenants_List", "The tenant", _list(schemas.of(Tenant)))},
        "/subscriptions": {"get": get("Subscriptions_List", "The subscription", _list(schemas.of(Subscription)))},
        SUBSCRIPTION: {
            "parameters": subscription,
            "get": get("Subscriptions_Get", "The subscription", schemas.of(Subscription)),
        },
        f"{SUBSCRIPTION}/locations": {
            "parameters": subscription,
            "get": get("Subscriptions_ListLocations", "All locations", _list(schemas.of(Location))),
        },
        "/providers": {"get": get("Providers_ListAtTenant", "All providers", _list(provider))},
        "/providers/{namespace}": {
            "parameters": [namespace],
            "get": get("Providers_GetAtTenant", "A provider", provider),
        },
        f"{SUBSCRIPTION}/providers": {
            "parameters": subscription,
            "get": get("Providers_List", "All providers", _list(provider)),
        },
        f"{SUBSCRIPTION}/providers/{{namespace}}": {
            "parameters": [*subscription, namespace],
            "get": get("Providers_Get", "A provider", provider),
        },
        f"{SUBSCRIPTION}/providers/{{namespace}}/register": {
            "parameters": [*subscription, namespace],
            "post": get("Providers_Register", "A provider, which is always registered", provider),
        },
        f"{SUBSCRIPTION}/resources": {
            "parameters": subscription,
            "get": get("Resources_List", "A page of all resources", _page(resource), paging),
        },
        f"{SUBSCRIPTION}/resourceGroups/{{resourceGroupName}}/resources": {
            "parameters": [*subscription, reference("resourceGroupName")],
            "get": get("Resources_ListInGroup", "A page of the group's resources", _page(resource), paging),
        },
        **_operations(schemas, [*subscription, namespace, _location()]),
    }


def _operations(schemas: Schemas, parameters: list[Json]) -> dict[str, Json]:
    base = f"{SUBSCRIPTION}/providers/{{namespace}}/locations/{{location}}"
    identifier = parameter("operationId", "path", _IDENTIFIER, "The operation", required=True)
    results = {
        "200": answer("What it made", {}),
        "202": answer("It is under way", started=True),
        "204": answer("It is done, and nothing is left of it"),
        **errors((*READ, 409)),
    }
    status = {"200": answer("How far it is", schemas.of(OperationStatus)), **errors(READ)}
    return {
        f"{base}/operations/{{operationId}}": {
            "parameters": [*parameters, identifier],
            "get": operation("Operations_Get", "An operation's status", status),
        },
        f"{base}/operationResults/{{operationId}}": {
            "parameters": [*parameters, identifier],
            "get": operation("Operations_GetResult", "An operation's result", results),
        },
    }


def _location() -> Json:
    return parameter("location", "path", {"type": "string", "minLength": 1, "maxLength": 90}, "Location", required=True)


def _list(item: Json) -> Json:
    return {"type": "object", "properties": {"value": {"type": "array", "items": item}}, "required": ["value"]}


def _page(item: Json) -> Json:
    found = _list(item)
    found["properties"]["nextLink"] = {"type": "string"}
    return found
