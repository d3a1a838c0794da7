"""Errors as ARM puts them on the wire: `{"error": {"code", "message", "target", "details"}}`.

    ArmError                any refusal; has the HTTP status, ARM's code and a message that says what to do
    ├── BadRequest          400: the request itself is wrong
    ├── NotFound            404: what the request names isn't there
    ├── Conflict            409: the request doesn't fit what is there now
    └── PreconditionFailed  412: If-Match or If-None-Match didn't hold

Codes and wordings are Azure's where it has one for the case
(https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct


class ErrorDetail(Struct, omit_defaults=True):
    """One error on the wire, also as it is stored with a failed operation."""

    code: str
    message: str
    target: str | None = None
    details: list["ErrorDetail"] = []


class ArmError(Exception):
    """A refusal. `headers` go out with the response."""

    status = 400

    def __init__(
        self,
        code: str,
        message: str,
        *,
        target: str | None = None,
        details: Sequence[ErrorDetail] = (),
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.detail = ErrorDetail(code, message, target, list(details))
        self.status = status or self.status
        self.headers = dict(headers or {})

    @property
    def code(self) -> str:
        """ARM's error code."""
        return self.detail.code

    @property
    def message(self) -> str:
        """What happened and what to do."""
        return self.detail.message


class BadRequest(ArmError):
    """The request itself is wrong; sending it again won't help."""

    status = 400


class NotFound(ArmError):
    """What the request names isn't there."""

    status = 404


class Conflict(ArmError):
    """The request doesn't fit the present state; it may later."""

    status = 409


class PreconditionFailed(ArmError):
    """An ETag condition didn't hold; read again and decide anew."""

    status = 412


def resource_not_found(identifier: str, group: str) -> NotFound:
    """ARM's answer for a resource that isn't there; `identifier` is `Namespace/type/name`."""
    return NotFound(
        "ResourceNotFound",
        f"The Resource '{identifier}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def envelope(detail: ErrorDetail) -> dict[str, Any]:
    """The body of an error response."""
    return {"error": detail}
