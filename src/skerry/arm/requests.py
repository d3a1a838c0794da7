"""A request as the dispatcher sees it, and its answer."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from skerry.arm.body import encode
from skerry.arm.errors import ArmError, envelope

JSON_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True)
class ArmRequest:
    """One request, its body read and its caller known. `query` has lower-case names; `base_url` has no end slash."""

    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

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


def raw_list(items: list[bytes], next_link: str | None = None) -> ArmResponse:
    """`{"value": […], "nextLink": …}`, spliced from JSON that is ready."""
    tail = b""
    if next_link:
        tail = b',"nextLink":' + msgspec.json.encode(next_link)
    return ArmResponse(200, b'{"value":[' + b",".join(items) + b"]" + tail + b"}")
