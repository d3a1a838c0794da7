"""GET …/virtualMachines/NAME/explain, Skerry's own: why a VM is where it is and as it is.

`skerry vm explain` shows it.
"""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from skerry.arm.activity import Event
from skerry.arm.descriptor import ActionContext
from skerry.arm.rows import model_of, timestamp
from skerry.resources.compute.virtual_machine.model import observed, os_disk_key, size_name
from skerry.resources.compute.virtual_machine.wire import VirtualMachine
from skerry.store import OperationRow, ResourceRow, UnitOfWork
from skerry.store.activity import Window

EVENTS = 10
_ADVICE = {
    "AllocationFailed": "Choose a smaller size, give back what other VMs hold (deallocate, delete), or add a host.",
    "VMStartFailed": "Mend what the message names, then start the VM again; its disks are kept.",
    "VMRestoreFailed": "Mend what the message names, then restore again; the restore point is kept.",
    "OSProvisioningClientError": "Look at the guest's console (`skerry vm console`); delete and create it again.",
    "OSProvisioningTimedOut": "Look at the guest's console (`skerry vm console`); a VM that runs may be used as it is.",
    "OperationTimedOut": "See `skerry status` for hosts that report no more or can't do their part, then try again.",
    "OperationPreempted": "A newer operation has taken over: look at that one.",
    "InternalOperationError": "This is a defect: the log has it under the operation's id. Trying again is safe.",
}
_OTHER_ADVICE = "Do what the message says, then repeat the request; delete works in every state."


class Placement(Struct, rename="camel"):
    """Why it is on its host: of `hosts` hosts, how many were `turned_down` for each reason, and some or all by name."""

    host: str
    chosen: str | None
    hosts: int
    turned_down: dict[str, int]
    rejected: dict[str, str]


class StepTaken(Struct):
    """A step: when it began, how long it took with its waiting, how often it looked, and how it ended."""

    step: str
    began: str
    seconds: float
    times: int
    outcome: str


class Latest(Struct):
    """The latest operation."""

    operation: str
    kind: str
    status: str
    caller: str
    started: str
    seconds: float
    steps: list[StepTaken]


class Condition(Struct, rename="camel"):
    """What its host last said of it, and when. `problems`: what the host can't do and tries again.

    `phases`: if it started warm, from a template, seconds to the end of each phase of that; empty for a cold start.
    """

    wanted: str
    power: str
    health: str
    message: str
    phases: dict[str, float]
    reported: str | None
    problems: list[str]


class Failure(Struct):
    """The last operation's error, and what to do."""

    code: str
    message: str
    advice: str


class Happened(Struct):
    """An event of the activity log, in short."""

    time: str
    action: str
    status: str
    caller: str
    error: str | None


class Explanation(Struct, rename="camel"):
    """The answer."""

    id: str
    name: str
    vm_id: str
    size: str
    provisioning_state: str
    placement: Placement
    operation: Latest | None
    condition: Condition
    failure: Failure | None
    activity: list[Happened]


def explain(context: ActionContext) -> Explanation:
    """All that is known of a VM's way."""
    work, row = context.work, context.resource
    now, latest = time.time(), work.operations.latest(row.key)
    return Explanation(
        id=row.id,
        name=row.name,
        vm_id=row.private["vm"],
        size=size_name(model_of(row, VirtualMachine)),
        provisioning_state=row.state,
        placement=_placement(row),
        operation=_latest(latest, now) if latest else None,
        condition=_condition(work, row),
        failure=_failure(row),
        activity=_activity(work, row),
    )


def _placement(row: ResourceRow) -> Placement:
    kept: dict[str, Any] = row.private.get("placement") or {}
    chosen = timestamp(kept["at"]) if "at" in kept else None
    return Placement(
        row.private["host"], chosen, kept.get("hosts", 0), kept.get("turnedDown", {}), kept.get("rejected", {})
    )


def _latest(operation: OperationRow, now: float) -> Latest:
    end = operation.ended or now
    return Latest(
        operation.id,
        operation.kind,
        operation.status,
        operation.caller,
        timestamp(operation.started),
        round(end - operation.started, 3),
        steps(operation.trace, end),
    )


def steps(trace: Sequence[dict[str, Any]], end: float) -> list[StepTaken]:
    """A trace with each step's whole time: until the next one began, or the operation ended."""
    ends = [entry["at"] for entry in trace[1:]] + [end]
    return [
        StepTaken(
            entry["step"],
            timestamp(entry["at"]),
            round(max(until - entry["at"], 0.0), 3),
            entry["times"],
            entry["outcome"],
        )
        for entry, until in zip(trace, ends, strict=False)
    ]


def _condition(work: UnitOfWork, row: ResourceRow) -> Condition:
    seen, host = observed(work, row), row.private["host"]
    disk = work.resources.get(os_disk_key(model_of(row, VirtualMachine)))
    parts = [("vm", row.private["vm"])] + ([("disk", disk.private["disk"])] if disk else [])
    problems = [work.hosts.problem(host, kind, name) for kind, name in parts] if host else []
    at = work.hosts.seen(host) if host else 0.0
    return Condition(
        wanted=row.private["power"] if host else "deallocated",
        power=seen.power if seen else "unknown" if host else "deallocated",
        health=seen.health if seen else "pending",
        message=seen.message if seen else "",
        phases=seen.phases if seen else {},
        reported=timestamp(at) if at else None,
        problems=[problem for problem in problems if problem],
    )


def _failure(row: ResourceRow) -> Failure | None:
    failure = row.private.get("failure")
    if not failure:
        return None
    return Failure(failure["code"], failure["message"], _ADVICE.get(failure["code"], _OTHER_ADVICE))


def _activity(work: UnitOfWork, row: ResourceRow) -> list[Happened]:
    found = []
    for logged in work.activity.list(Window(0.0, resource=row.key), EVENTS):
        event = msgspec.json.decode(logged.event, type=Event)
        error = f"{event.error.code}: {event.error.message}" if event.error else None
        found.append(Happened(timestamp(logged.at), event.action, event.status, event.origin.caller, error))
    return found
