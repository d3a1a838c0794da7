"""From stored rows to wire bodies and back."""

import time
import uuid
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import orjson

from skerry.arm.body import encode
from skerry.arm.errors import ErrorDetail
from skerry.store import OperationRow, ResourceRow

T = TypeVar("T")
Body = dict[str, Any]


def timestamp(seconds: float) -> str:
    """A time as ARM writes it: UTC, ISO 8601, with seven digits of a second as .NET has."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0+00:00"


def body_of(row: ResourceRow) -> Body:
    """The body as a dict, free to change."""
    body: Body = orjson.loads(row.body)
    return body


def model_of(row: ResourceRow, model: type[T]) -> T:
    """The body as its type's Struct."""
    return msgspec.json.decode(row.body, type=model)


def set_body(row: ResourceRow, body: object) -> None:
    """Store a dict or Struct as the row's body."""
    row.body = encode(body)


def set_state(row: ResourceRow, state: str) -> None:
    """Set `properties.provisioningState`, in the column and in the body."""
    body = body_of(row)
    body.setdefault("properties", {})["provisioningState"] = state
    row.state = state
    set_body(row, body)


def new_operation(
    row: ResourceRow,
    kind: str,
    *,
    step: str = "start",
    seconds: float,
    state: dict[str, Any] | None = None,
    owns: bool = True,
) -> OperationRow:
    """A new operation on a resource, which it owns from now on unless its kind owns nothing. The caller saves both."""
    operation = OperationRow(
        id=str(uuid.uuid4()),
        kind=kind,
        target=row.key,
        target_id=row.id,
        step=step,
        deadline=time.time() + seconds,
        state=state or {},
    )
    if owns:
        row.operation = operation.id
    return operation


def operation_view(row: OperationRow, path: str) -> Body:
    """What `Azure-AsyncOperation` answers.

    Source: https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
    """
    view: Body = {"id": path, "name": row.id, "status": row.status, "startTime": timestamp(row.started)}
    if row.ended is not None:
        view["endTime"] = timestamp(row.ended)
    if row.error is not None:
        view["error"] = msgspec.json.decode(row.error, type=ErrorDetail)
    if row.result is not None:
        view["properties"] = {"output": msgspec.Raw(row.result)}
    return view
