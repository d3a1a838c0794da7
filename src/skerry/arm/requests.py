"""A request as the dispatcher sees it, and its answer."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from skerry.arm.body import encode
from skerry.arm.errors import ArmError, envelope
from skerry.store import Origin

JSON_TYPE = "application/json; charset=utf-8"


class Caller(Protocol):
    """Who sends a request. `name` is the user's name (upn) or the application's id."""

    @property
    def kind(self) -> Literal["ServicePrincipal", "User"]: ...
    @property
    def object_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def app_id(self) -> str: ...


@dataclass(frozen=True)
class ArmRequest:
    """One request, its body read and its caller known. `query` has lower-case names; `base_url` has no end slash.

    `client` is the address that it came from; `correlation_id` what the client gave to join its requests, or ours.
    """

    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    caller: Caller
    client: str = ""
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def correlation_id(self) -> str:
        """The client's `x-ms-correlation-request-id`, at most 128 characters, or the request's id."""
        return self.headers.get("x-ms-correlation-request-id", "")[:128] or self.request_id

    @property
    def origin(self) -> Origin:
        """On whose behalf this request's transaction acts."""
        return Origin(
            self.request_id,
            self.correlation_id,
            self.caller.name,
            self.caller.app_id,
            self.caller.object_id,
            self.method,
            self.client,
            self.headers.get("x-ms-client-request-id", "")[:128],
        )

    @property
    def api_version(self) -> str:
        """The api-version as the client gave it."""
        return self.query.get("api-version", "")


@dataclass
class ArmResponse:
    """One answer; `body` is JSON or empty."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: object, status: int = 200) -> "ArmResponse":
        """An answer with a value that msgspec can encode."""
        return cls(status, encode(value))

    @classmethod
    def error(cls, error: ArmError) -> "ArmResponse":
        """A refusal."""
        return cls(error.status, encode(envelope(error.detail)), {"x-ms-failure-cause": "gateway", **error.headers})


def raw_list(items: Sequence[bytes], next_link: str | None = None) -> ArmResponse:
    """`{"value": […], "nextLink": …}`, spliced from JSON that is ready."""
    tail = b""
    if next_link:
        tail = b',"nextLink":' + msgspec.json.encode(next_link)
    return ArmResponse(200, b'{"value":[' + b",".join(items) + b"]" + tail + b"}")
