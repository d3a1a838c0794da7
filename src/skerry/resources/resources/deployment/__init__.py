"""Microsoft.Resources/deployments at the scope of a resource group, incremental."""

import re
import time
import uuid

from skerry.arm.descriptor import (
    Action,
    ActionContext,
    AnyType,
    DeleteContext,
    PutContext,
    Reading,
    ResourceType,
    Result,
)
from skerry.arm.errors import Conflict, ErrorDetail
from skerry.arm.rows import Body, new_operation, timestamp
from skerry.resources.resources.deployment import steps
from skerry.resources.resources.deployment.model import (
    TYPE,
    check_request,
    check_types,
    load_plan,
    operations_view,
    plan_view,
    scope_of,
)
from skerry.resources.resources.deployment.wire import (
    Deployment,
    DeploymentRequest,
    OperationList,
    Validation,
    WhatIf,
    parse,
)
from skerry.store import OperationRow


def _put(context: PutContext[Deployment]) -> None:
    if context.row.operation:
        raise Conflict(
            "DeploymentActive",
            f"The deployment with resource id '{context.id}' cannot be saved, because this would overwrite an existing "
            "deployment which is still active. Wait for it to end, or use another name.",
        )
    sealed = context.service.installation.secrets.seal(context.new.properties)
    now = timestamp(time.time())
    context.new.properties = {
        "mode": "Incremental",
        "provisioningState": "Accepted",
        "timestamp": now,
        "correlationId": str(uuid.uuid4()),
    }
    context.row.state = "Accepted"
    context.row.private = {}
    context.operation = new_operation(context.row, steps.RUN.name, seconds=steps.RUN_SECONDS, state={"sealed": sealed})


def _delete(context: DeleteContext) -> OperationRow | None:
    """Forget a deployment's history; what it deployed stays."""
    if context.row.operation and not context.forced:
        raise Conflict("DeploymentActive", f"The deployment '{context.row.name}' is still active: wait for it to end.")
    context.work.resources.delete(context.row.key)
    return None


def _validate(context: ActionContext) -> Result:
    request = check_request(context.body.get("properties", {}))
    plan = load_plan(request, scope_of(context.work, context.service, context.id))
    check_types(plan, context.service)
    properties: Body = plan_view(plan, request) | {
        "provisioningState": "Succeeded",
        "timestamp": timestamp(time.time()),
        "correlationId": str(uuid.uuid4()),
        "validatedResources": [{"id": resource.id} for resource in plan.resources if resource.condition],
    }
    return Result({"id": str(context.id), "name": context.id.name, "type": TYPE, "properties": properties})


def _what_if(_context: ActionContext) -> Result:
    """Refused in the answer's own form: on a refused request az crashes (WIRE.md rule 4)."""
    error = ErrorDetail(
        "NotSupported",
        "Skerry does not support what-if. `az deployment group validate` checks a template and deploys nothing.",
    )
    return Result({"status": "Failed", "error": error})


def _operations(context: ActionContext) -> Body:
    return {"value": operations_view(context.resource)}


TYPES: tuple[AnyType, ...] = (
    ResourceType(
        TYPE,
        Deployment,
        _put,
        _delete,
        tracked=False,
        parse=parse,
        body=DeploymentRequest,
        actions={
            "validate": Action(_validate, exists=False, parse=parse, body=DeploymentRequest, answer=Validation),
            "whatIf": Action(_what_if, exists=False, parse=parse, body=DeploymentRequest, answer=WhatIf),
        },
        deleted=204,  # az takes 202 and 204 only
        views={"operations": Reading(_operations, OperationList)},
        name_pattern=re.compile(r"[-A-Za-z0-9_.()]{1,64}"),
    ),
)
KINDS = steps.KINDS
