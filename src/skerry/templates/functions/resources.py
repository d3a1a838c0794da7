"""Resource ids and the surroundings of the deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skerry.templates.errors import Fault
from skerry.templates.functions.registry import ANY, function, text

if TYPE_CHECKING:
    from skerry.templates.frame import Frame


def provider_path(kind: str, names: list[str]) -> str:
    """`providers/Namespace/type/name/…` of a type and one name for each of its segments."""
    namespace, *types = kind.strip("/").split("/")
    pairs = (f"{segment}/{name}" for segment, name in zip(types, names, strict=True))
    return "/".join(["providers", namespace, *pairs])


def _split(arguments: tuple[Any, ...], optional: int) -> tuple[list[str], str, list[str]]:
    """(what stands before the type, the type, its names). The type is the first argument with a slash for whose
    segments there are just as many names."""
    words = [text(argument) for argument in arguments]
    for at, word in enumerate(words[: optional + 1]):
        if word.strip("/").count("/") == len(words) - at - 1 > 0:
            return words[:at], word, words[at + 1 :]
    found = next((word for word in words[: optional + 1] if "/" in word), None)
    if found is None:
        raise Fault("no argument is a fully qualified resource type such as 'Microsoft.Compute/disks'.")
    needed = found.strip("/").count("/")
    raise Fault(f"the type '{found}' requires '{needed}' resource name argument(s).")


@function("resourceId", 2, ANY, framed=True)
def resource_id(frame: Frame, *arguments: Any) -> str:
    """`resourceId([subscriptionId], [resourceGroup], type, name, …)`."""
    before, kind, names = _split(arguments, 2)
    path = provider_path(kind, names)
    if not before:
        return f"{frame.scope.resource_group_id}/{path}"
    subscription = before[0] if len(before) == 2 else frame.scope.subscription_id
    return f"/subscriptions/{subscription}/resourceGroups/{before[-1]}/{path}"


@function("subscriptionResourceId", 2, ANY, framed=True)
def subscription_resource_id(frame: Frame, *arguments: Any) -> str:
    before, kind, names = _split(arguments, 1)
    subscription = before[0] if before else frame.scope.subscription_id
    return f"/subscriptions/{subscription}/{provider_path(kind, names)}"


@function("tenantResourceId", 2, ANY)
def tenant_resource_id(*arguments: Any) -> str:
    _, kind, names = _split(arguments, 0)
    return "/" + provider_path(kind, names)


@function("extensionResourceId", 3, ANY)
def extension_resource_id(base: Any, *arguments: Any) -> str:
    _, kind, names = _split(arguments, 0)
    return f"{text(base).rstrip('/')}/{provider_path(kind, names)}"


@function("resourceGroup", 0, 0, framed=True)
def resource_group(frame: Frame) -> dict[str, Any]:
    scope = frame.scope
    return {
        "id": scope.resource_group_id,
        "name": scope.resource_group,
        "type": "Microsoft.Resources/resourceGroups",
        "location": scope.location,
        "tags": dict(scope.tags),
        "properties": {"provisioningState": "Succeeded"},
    }


@function("subscription", 0, 0, framed=True)
def subscription(frame: Frame) -> dict[str, Any]:
    scope = frame.scope
    return {
        "id": f"/subscriptions/{scope.subscription_id}",
        "subscriptionId": scope.subscription_id,
        "tenantId": scope.tenant_id,
        "displayName": scope.subscription_name,
    }


@function("tenant", 0, 0, framed=True)
def tenant(frame: Frame) -> dict[str, Any]:
    return {"id": f"/tenants/{frame.scope.tenant_id}", "tenantId": frame.scope.tenant_id}


@function("environment", 0, 0, framed=True)
def environment(frame: Frame) -> dict[str, Any]:
    return dict(frame.scope.environment)


@function("providers", 1, 2, framed=True)
def providers(frame: Frame, namespace: Any, kind: Any = None) -> dict[str, Any]:
    """What is known of a provider's namespace, or of one of its types (`locations`, `apiVersions`)."""
    try:
        return dict(frame.scope.providers(text(namespace), None if kind is None else text(kind)))
    except LookupError:
        whole = namespace if kind is None else f"{namespace}/{kind}"
        raise Fault(f"the resource provider or type '{whole}' is not known here.") from None
