"""Running a deployment.

    deployment-run  start: read, plan ─▶ deploy: PUT all whose dependencies are there; wait for their operations; again
                    ─▶ end: Succeeded with outputs, or Failed with what failed once nothing is under way

Resources that are done stay as they are when another fails, as on Azure. Running the same template again goes on.
"""

import time
from typing import Any

import msgspec
import orjson

from skerry.arm.errors import ArmError, ErrorDetail, NotFound
from skerry.arm.ids import parse_id
from skerry.arm.rows import Body
from skerry.engine.steps import Done, Hop, Nap, OperationFailed, OperationKind, Outcome, Step, StepContext
from skerry.resources.resources.deployment.model import (
    check_request,
    check_types,
    duration,
    failure,
    load_plan,
    masked,
    plan_view,
    refusal,
    scope_of,
    secret_words,
    show,
)
from skerry.templates.errors import TemplateError
from skerry.templates.plan import Plan, PlannedResource

RUN_SECONDS = 3600.0
BUSY_SECONDS = 0.5  # in one step; other operations and requests wait for its transaction


def _request(context: StepContext) -> Body:
    request: Body = context.service.installation.secrets.open(context.operation.state["sealed"])
    return request


def _start(context: StepContext) -> Outcome:
    request = check_request(_request(context))
    plan = load_plan(request, scope_of(context.work, context.service, parse_id(context.row.id)))
    check_types(plan, context.service)
    # Defaults made by newGuid() or utcNow() must stay the same when the next step plans again.
    request["parameters"] = plan.resolved_parameters()
    context.operation.state["sealed"] = context.service.installation.secrets.seal(request)
    show(context.row, "Running", **plan_view(plan, request))
    context.row.private["resources"] = {}
    context.work.resources.save(context.row)
    return Hop("deploy")


def _deploy(context: StepContext) -> Outcome:
    plan = load_plan(_request(context), scope_of(context.work, context.service, parse_id(context.row.id)))
    states: dict[str, Body] = context.row.private.setdefault("resources", {})
    for state in states.values():
        _look(context, state)
    whole = _begin_ready(context, plan, states)
    context.work.resources.save(context.row)
    if not whole:
        return Nap(0)
    if any(state["status"] == "Running" for state in states.values()):
        return Nap(2)
    failed = any(state["status"] == "Failed" for state in states.values())
    if not failed and len(states) < sum(resource.condition for resource in plan.resources):
        return Hop("deploy")
    # A step of its own: failing here would take back what this one has just made.
    return Hop("end")


def _end(context: StepContext) -> Outcome:
    states: dict[str, Body] = context.row.private["resources"]
    errors = [msgspec.convert(s["error"], ErrorDetail) for s in states.values() if s["status"] == "Failed"]
    if errors:
        error = failure(errors)
        raise OperationFailed(error.code, error.message, details=error.details)
    plan = load_plan(_request(context), scope_of(context.work, context.service, parse_id(context.row.id)))
    return _succeed(context, plan, states)


def _look(context: StepContext, state: Body) -> None:
    """See whether the operation of a resource has ended."""
    if state["status"] != "Running":
        return
    operation = context.work.operations.get(state["operation"])
    if operation is not None and operation.status == "InProgress":
        return
    state["changed"] = time.time()
    if operation is None or operation.status == "Succeeded":
        state["status"] = "Succeeded"
        return
    state["status"] = "Failed"
    state["error"] = orjson.loads(operation.error or b"{}")


def _begin_ready(context: StepContext, plan: Plan, states: dict[str, Body]) -> bool:
    """PUT what can be; whether that was all, or the rest is left to another transaction."""
    end = time.thread_time() + BUSY_SECONDS
    if not any(state["status"] == "Failed" for state in states.values()):
        for resource in plan.resources:
            _begin_if_ready(context, plan, resource, states)
            if time.thread_time() > end:
                return False
    return True


def _begin_if_ready(context: StepContext, plan: Plan, resource: PlannedResource, states: dict[str, Body]) -> None:
    key = resource.id.lower()
    if key in states or not resource.condition:
        return
    skipped = {r.id.lower() for r in plan.resources if not r.condition}
    done = {k for k, state in states.items() if state["status"] == "Succeeded"}
    if not resource.depends_on <= done | skipped:
        return
    states[key] = _put(context, resource)


def _put(context: StepContext, resource: PlannedResource) -> Body:
    now = time.time()
    state: Body = {
        "id": resource.id,
        "type": resource.type,
        "name": resource.name.rpartition("/")[2],
        "started": now,
        "changed": now,
        "status": "Succeeded",
    }
    try:
        with context.work.savepoint():
            body = resource.body(lambda *asked: _reference(context, *asked))
            result = context.service.put(context.work, parse_id(resource.id), body)
            if result.operation is not None:
                result.operation.state["waiter"] = context.operation.id
                context.work.operations.save(result.operation)
                state |= {"status": "Running", "operation": result.operation.id}
    except TemplateError as error:
        state |= {"status": "Failed", "error": _plain(_unspoken(context, refusal(error).detail))}
    except ArmError as error:
        state |= {"status": "Failed", "error": _plain(_unspoken(context, error.detail))}
    return state


def _unspoken(context: StepContext, detail: ErrorDetail) -> ErrorDetail:
    """The error without the values of the deployment's secure parameters."""
    return masked(detail, secret_words(_request(context)))


def _guarded(step: Step) -> Step:
    """The step, with errors that don't quote the deployment's secure parameters."""

    def run(context: StepContext) -> Outcome:
        try:
            return step(context)
        except ArmError as error:
            detail = _unspoken(context, error.detail)
            raise OperationFailed(detail.code, detail.message, target=detail.target, details=detail.details) from None

    return run


def _plain(detail: ErrorDetail) -> Body:
    plain: Body = msgspec.to_builtins(detail)
    return plain


def _reference(context: StepContext, identifier: str, _api_version: str | None, full: bool) -> Any:
    """What the template function `reference()` answers: the resource's state now."""
    try:
        body = orjson.loads(context.service.get(context.work, parse_id(identifier)))
    except NotFound as error:
        raise TemplateError("ResourceNotFound", error.message) from error
    if not full:
        return body.get("properties", {})
    return body


def _succeed(context: StepContext, plan: Plan, states: dict[str, Body]) -> Outcome:
    try:
        outputs = plan.outputs(lambda *asked: _reference(context, *asked))
    except TemplateError as error:
        raise OperationFailed(error.code, error.message, target=error.target or None) from error
    show(
        context.row,
        "Succeeded",
        outputs=outputs,
        outputResources=[{"id": state["id"]} for state in states.values()],
        duration=duration(context.now - context.operation.started),
    )
    context.work.resources.save(context.row)
    return Done()


def _failed(context: StepContext, error: ErrorDetail) -> None:
    show(context.row, "Failed", error=_plain(error), duration=duration(context.now - context.operation.started))
    context.work.resources.save(context.row)


_STEPS = {"start": _guarded(_start), "deploy": _guarded(_deploy), "end": _guarded(_end)}
RUN = OperationKind("deployment-run", _STEPS, on_failure=_failed)
KINDS = (RUN,)
