"""Microsoft.Resources/deployments on the wire (https://learn.microsoft.com/rest/api/resources/deployments).

What az PUTs need not be JSON (WIRE.md rule 3), and a PUT that is refused makes az crash (rule 4): so a body is taken
as it is, and what is wrong with it becomes the error of the deployment.
"""

from typing import Any, NotRequired, TypedDict

from msgspec import Struct

from skerry.arm.descriptor import ArmResource, Tags, Text
from skerry.arm.errors import ErrorDetail
from skerry.templates.errors import TemplateError
from skerry.templates.lenient import loads


class Deployment(ArmResource, kw_only=True):
    """A deployment; `properties` are checked by its first step."""

    properties: dict[str, Any] = {}


class DeploymentRequest(Struct):
    """What a deployment is asked with. The template is checked by its operation, which fails with what is wrong."""

    properties: Any = None
    location: Text | None = None
    tags: Tags | None = None


class DeploymentOperation(TypedDict):
    """What became of one resource of a deployment."""

    id: str
    operationId: str
    properties: dict[str, Any]


class OperationList(TypedDict):
    """The operations of a deployment."""

    value: list[DeploymentOperation]


class Validation(TypedDict):
    """A template that could be deployed."""

    id: str
    name: str
    type: str
    properties: dict[str, Any]


class WhatIf(TypedDict):
    """The refusal of what-if."""

    status: str
    error: NotRequired[ErrorDetail]


def parse(body: bytes) -> Any:
    """The body, leniently read; one that can't be read becomes a deployment that fails with the reason."""
    try:
        value = loads(body)
    except TemplateError as error:
        return {"properties": {"unreadable": {"code": error.code, "message": error.message}}}
    if not isinstance(value, dict) or not isinstance(value.get("properties"), dict):
        reason = "The request content must be an object with 'properties'."
        return {"properties": {"unreadable": {"code": "InvalidRequestContent", "message": reason}}}
    return {name: value[name] for name in ("location", "tags", "properties") if value.get(name) is not None}
