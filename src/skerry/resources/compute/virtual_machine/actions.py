"""The POSTs of a VM: each checks that it may, and starts an operation."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from msgspec import Meta

from skerry.arm.descriptor import Action, ActionContext, Query, Result
from skerry.arm.errors import Conflict
from skerry.arm.rows import model_of, new_operation
from skerry.engine.steps import OperationKind
from skerry.resources.compute.virtual_machine import steps
from skerry.resources.compute.virtual_machine.wire import SerialLog, VirtualMachine


def _begin(
    kind: OperationKind,
    *,
    allocated: bool = False,
    state: Callable[[ActionContext], dict[str, Any]] = lambda _c: {},
    query: Sequence[Query] = (),
) -> Action:
    """An action that starts `kind`; `allocated`: refused on a deallocated VM."""

    def run(context: ActionContext) -> Result:
        row = context.resource
        if row.operation or row.state == "Deleting":
            raise Conflict(
                "Conflict",
                f"Another operation is in progress on virtual machine '{row.name}'. Wait for it and try again.",
            )
        if allocated and not row.private["host"]:
            raise Conflict(
                "OperationNotAllowed",
                f"Operation '{kind.name.removeprefix('vm-')}' is not allowed on VM '{row.name}' since the VM is "
                "deallocated. Start it first.",
            )
        operation = new_operation(row, kind.name, seconds=steps.POWER_SECONDS, state=state(context))
        context.work.resources.save(row)
        return Result(operation=operation, status=202)

    return Action(run, query=query)


def _skip_shutdown(context: ActionContext) -> dict[str, Any]:
    return {"hard": context.query.get("skipshutdown", "false").lower() == "true"}


def _boot_diagnostics(context: ActionContext) -> Result:
    """Hand out a signed link to the serial log, good for a while (WIRE.md rule 11)."""
    row = context.resource
    diagnostics = model_of(row, VirtualMachine).properties.diagnostics_profile
    if not (diagnostics and diagnostics.boot_diagnostics and diagnostics.boot_diagnostics.enabled):
        raise Conflict(
            "OperationNotAllowed",
            f"Boot diagnostics are not enabled on VM '{row.name}': run `az vm boot-diagnostics enable` first.",
        )
    minutes = int(context.query.get("sasuriexpirationtimeinminutes", "120"))
    link = context.service.installation.secrets.sign(f"/skerry/serial/{row.private['vm']}", minutes * 60)
    return Result({"serialConsoleLogBlobUri": f"{context.base_url}{link}"})


_SKIP_SHUTDOWN = Query("skipShutdown", bool, "true: cut the power without asking the guest")
_MINUTES = Query(
    "sasUriExpirationTimeInMinutes", Annotated[int, Meta(ge=1, le=1440)], "how long the link is good; 120 by default"
)
ACTIONS = {
    "start": _begin(steps.START),
    "powerOff": _begin(steps.STOP, allocated=True, state=_skip_shutdown, query=(_SKIP_SHUTDOWN,)),
    "restart": _begin(steps.RESTART, allocated=True),
    "deallocate": _begin(steps.DEALLOCATE),
    "redeploy": _begin(steps.REDEPLOY, allocated=True),
    "reapply": _begin(steps.REAPPLY),
    "retrieveBootDiagnosticsData": Action(_boot_diagnostics, answer=SerialLog, query=(_MINUTES,)),
}
