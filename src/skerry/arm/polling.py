"""Long-running operations on the wire: the two headers, and what the two URLs answer.

Source: https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations, WIRE.md rules 1 and 2.
"""

import time

import msgspec

from skerry.arm.descriptor import ResourceType
from skerry.arm.errors import ErrorDetail, NotFound
from skerry.arm.ids import parse_id
from skerry.arm.requests import ArmRequest, ArmResponse
from skerry.arm.rows import operation_view
from skerry.arm.service import ResourceService
from skerry.store import OperationRow, UnitOfWork

# Azure's clients wait 30 s where nothing is said, or where whole seconds are 0.
SOON, LATER = {"x-ms-retry-after-ms": "50"}, {"x-ms-retry-after-ms": "200"}
SOON_SECONDS = 0.5  # most operations but those of VMs have ended by then


def operation_headers(request: ArmRequest, service: ResourceService, operation: OperationRow) -> dict[str, str]:
    """The headers of the reply that started an operation."""
    namespace = parse_id(operation.target_id).namespace or "Microsoft.Resources"
    base = f"{request.base_url}/subscriptions/{service.subscription}/providers/{namespace}/locations/local"
    version = f"?api-version={request.api_version}"
    return {
        "Azure-AsyncOperation": f"{base}/operations/{operation.id}{version}",
        "Location": f"{base}/operationResults/{operation.id}{version}",
        **_again(operation),
    }


def poll_status(request: ArmRequest, work: UnitOfWork, identifier: str) -> ArmResponse:
    """The answer at `Azure-AsyncOperation`."""
    operation = _operation(work, identifier)
    response = ArmResponse.of(operation_view(operation, "/" + "/".join(request.segments)))
    if operation.status == "InProgress":
        response.headers.update(_again(operation))
    return response


def poll_result(request: ArmRequest, work: UnitOfWork, service: ResourceService, identifier: str) -> ArmResponse:
    """The answer at `Location`: 202 while it runs, then the result, the resource, or the error."""
    operation = _operation(work, identifier)
    if operation.status == "InProgress":
        return ArmResponse(202, headers=operation_headers(request, service, operation))
    if operation.error is not None:
        detail = msgspec.json.decode(operation.error, type=ErrorDetail)
        return ArmResponse.of({"error": detail}, 409)
    if operation.result is not None:
        return ArmResponse(200, operation.result)
    row = work.resources.get(operation.target)
    if row is None:
        return ArmResponse(204)
    kind = service.registry.get(parse_id(row.id).type)
    assert isinstance(kind, ResourceType)
    return ArmResponse(200, service.view(work, kind, row))


def _again(operation: OperationRow) -> dict[str, str]:
    """When to ask again."""
    return SOON if time.time() - operation.started < SOON_SECONDS else LATER


def _operation(work: UnitOfWork, identifier: str) -> OperationRow:
    operation = work.operations.get(identifier.lower())
    if operation is None:
        raise NotFound(
            "OperationNotFound",
            f"The operation '{identifier}' was not found. Results are kept for a day after an operation ended.",
        )
    return operation
