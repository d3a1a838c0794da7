"""A deployment's row: the plan of its template, and what is shown of it.

Template and parameters may hold secrets: they are kept sealed in the operation's state, only while it runs.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from skerry.arm.errors import ArmError, BadRequest, ErrorDetail
from skerry.arm.ids import ResourceId
from skerry.arm.rows import Body, body_of, set_body, timestamp
from skerry.arm.service import ResourceService
from skerry.store import ResourceRow, UnitOfWork
from skerry.templates.errors import TemplateError
from skerry.templates.plan import Plan, Scope

TYPE = "Microsoft.Resources/deployments"
_KNOWN = {"template", "parameters", "mode", "debugsetting", "expressionevaluationoptions", "validationlevel"}


def check_request(properties: Mapping[str, Any]) -> Body:
    """The request's template, parameters and mode. Raises ArmError for what isn't supported."""
    found = {name.lower(): value for name, value in properties.items() if value is not None}
    if "unreadable" in found:
        raise BadRequest(found["unreadable"]["code"], found["unreadable"]["message"])
    for name in found.keys() - _KNOWN - {"provisioningstate"}:
        raise BadRequest(
            "InvalidRequestContent",
            f"The deployment property '{name}' is not supported: give template and parameters inline.",
            target=name,
        )
    mode = str(found.get("mode", "Incremental"))
    if mode.lower() != "incremental":
        raise BadRequest(
            "InvalidDeploymentMode", f"The mode '{mode}' is not supported: use Incremental.", target="mode"
        )
    if not isinstance(found.get("template"), dict):
        raise BadRequest("InvalidTemplate", "The deployment has no template: 'properties.template' must be an object.")
    parameters = found.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadRequest("InvalidRequestContent", "'properties.parameters' must be an object.")
    return {"template": found["template"], "parameters": _values_of(parameters), "mode": "Incremental"}


def _values_of(parameters: Body) -> Body:
    """A whole parameter file is taken too: az sends its `parameters` member, other clients the file."""
    inner = parameters.get("parameters")
    return inner if "$schema" in parameters and isinstance(inner, dict) else parameters


SHORTEST_SECRET = 4
"""Shorter values would blot out words of every message, and hide nothing that couldn't be guessed."""


def secret_words(request: Body) -> list[str]:
    """Every string in the values (and defaults) of a request's secure parameters, longest first."""
    sections = _lowered(request)
    values = _lowered(_values_of(_lowered(sections.get("parameters"))))
    found: set[str] = set()
    for name, declared in _lowered(_lowered(sections.get("template")).get("parameters")).items():
        fields = _lowered(declared)
        if str(fields.get("type", "")).lower().startswith("secure"):
            found.update(_strings([values.get(name), fields.get("defaultvalue")]))
    return sorted((word for word in found if len(word) >= SHORTEST_SECRET), key=len, reverse=True)


def _lowered(value: Any) -> Body:
    """An object's members by lower-case name; nothing where it is no object: the request may be unchecked."""
    return {key.lower(): member for key, member in value.items()} if isinstance(value, dict) else {}


def _strings(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        here = pending.pop()
        if isinstance(here, str):
            yield here
        elif isinstance(here, dict | list):
            pending += here.values() if isinstance(here, dict) else here


def masked(detail: ErrorDetail, words: Sequence[str]) -> ErrorDetail:
    """The error without any of the words: messages quote what they refuse, and are kept."""

    def clean(text: str) -> str:
        for word in words:
            text = text.replace(word, "*****")
        return text

    target = None if detail.target is None else clean(detail.target)
    return ErrorDetail(detail.code, clean(detail.message), target, [masked(part, words) for part in detail.details])


def scope_of(work: UnitOfWork, service: ResourceService, deployment: ResourceId) -> Scope:
    """Where a deployment happens."""
    group = service.check_group(work, deployment)
    base = service.installation.base_url
    return Scope(
        subscription_id=service.subscription,
        tenant_id=service.installation.tenant,
        resource_group=group.name,
        resource_group_id=group.id,
        location=group.location,
        deployment_name=deployment.name,
        deployment_mode="Incremental",
        environment={
            "name": "Skerry",
            "resourceManager": f"{base}/",
            "authentication": {"loginEndpoint": f"{base}/adfs", "audiences": [base], "tenant": "adfs"},
            "suffixes": {},
        },
        providers=lambda namespace, kind: _provider(service, namespace, kind),
        tags=body_of(group).get("tags", {}),
    )


def _provider(service: ResourceService, namespace: str, kind: str | None) -> Mapping[str, Any]:
    try:
        view = service.registry.provider_view(namespace, service.subscription)
    except ArmError as error:
        raise LookupError(error.message) from error
    if kind is None:
        return {"namespace": view["namespace"], "resourceTypes": view["resourceTypes"]}
    for entry in view["resourceTypes"]:
        if entry["resourceType"].lower() == kind.lower():
            return dict(entry)
    raise LookupError(f"The resource type '{kind}' is not in the namespace '{namespace}'.")


def load_plan(request: Body, scope: Scope) -> Plan:
    """Plan a checked request. Raises BadRequest `InvalidTemplate` and the like."""
    try:
        return Plan.load(request["template"], request["parameters"], scope)
    except TemplateError as error:
        raise refusal(error) from error


def refusal(error: TemplateError) -> BadRequest:
    """A template's error on the wire."""
    return BadRequest(error.code, error.message, target=error.target or None)


def check_types(plan: Plan, service: ResourceService) -> None:
    """Raises BadRequest when the template has a type that isn't supported or belongs elsewhere."""
    for resource in plan.resources:
        try:
            service.registry.get(resource.type)
        except ArmError as error:
            raise BadRequest(
                "InvalidTemplateDeployment",
                f"The template resource '{resource.name}' can't be deployed: {error.message}",
                target=resource.id,
            ) from error
        if resource.scope_group:
            raise BadRequest(
                "InvalidTemplateDeployment",
                f"The nested deployment '{resource.name}' names another resource group; that is not supported.",
                target=resource.id,
            )


def show(row: ResourceRow, state: str, **more: Any) -> None:
    """Write the deployment's public properties."""
    body = body_of(row)
    properties = body.setdefault("properties", {})
    properties |= {"provisioningState": state, "timestamp": timestamp(time.time()), **more}
    row.state = state
    set_body(row, body)


def template_hash(template: Body) -> str:
    """A number that changes when the template does."""
    digest = hashlib.sha256(orjson.dumps(template, option=orjson.OPT_SORT_KEYS)).digest()
    return str(int.from_bytes(digest[:8], "big"))


def plan_view(plan: Plan, request: Body) -> Body:
    """What is shown of a plan."""
    return {
        "templateHash": template_hash(request["template"]),
        "mode": request["mode"],
        "parameters": plan.parameters_view(),
        "providers": plan.providers_view(),
        "dependencies": plan.dependencies_view(),
    }


def operations_view(row: ResourceRow) -> list[Body]:
    """`GET …/deployments/{name}/operations`."""
    shown = []
    for key, item in row.private.get("resources", {}).items():
        properties: Body = {
            "provisioningOperation": "Create",
            "provisioningState": item["status"],
            "timestamp": timestamp(item["changed"]),
            "duration": duration(item["changed"] - item["started"]),
            "statusCode": {"Succeeded": "OK", "Failed": "Conflict"}.get(item["status"], "Created"),
            "targetResource": {"id": item["id"], "resourceType": item["type"], "resourceName": item["name"]},
        }
        if item.get("error"):
            properties["statusMessage"] = {"status": "Failed", "error": item["error"]}
        identifier = hashlib.sha256(key.encode()).hexdigest()[:16].upper()
        view = {"id": f"{row.id}/operations/{identifier}", "operationId": identifier, "properties": properties}
        shown.append(view)
    return shown


def duration(seconds: float) -> str:
    """A time span as ISO 8601 writes it."""
    return f"PT{max(seconds, 0):.7f}S"


def failure(details: list[ErrorDetail]) -> ErrorDetail:
    """ARM's error of a deployment whose resources failed."""
    return ErrorDetail(
        "DeploymentFailed",
        "At least one resource deployment operation failed. Please list deployment operations for details. Please see "
        "https://aka.ms/arm-deployment-operations for usage details.",
        details=details,
    )
