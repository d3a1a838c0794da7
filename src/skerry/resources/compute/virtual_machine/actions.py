"""The POSTs of a VM: each checks that it may, and starts an operation."""

import re
from collections.abc import Callable
from typing import Any

from skerry.arm.descriptor import Action, ActionContext, Result
from skerry.arm.errors import BadRequest, Conflict
from skerry.arm.rows import model_of, new_operation
from skerry.engine.steps import OperationKind
from skerry.resources.compute.virtual_machine import steps
from skerry.resources.compute.virtual_machine.wire import VirtualMachine


def _begin(
    kind: OperationKind, *, allocated: bool = False, state: Callable[[ActionContext], dict[str, Any]] = lambda _c: {}
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

    return Action(run)


def _skip_shutdown(context: ActionContext) -> dict[str, Any]:
    text = context.query.get("skipshutdown", "false").lower()
    if text not in ("true", "false"):
        raise BadRequest(
            "InvalidParameter", f"The value '{text}' of skipShutdown is not true or false.", target="skipShutdown"
        )
    return {"hard": text == "true"}


def _boot_diagnostics(context: ActionContext) -> Result:
    """Hand out a signed link to the serial log, good for a while (WIRE.md rule 11)."""
    row = context.resource
    diagnostics = model_of(row, VirtualMachine).properties.diagnostics_profile
    if not (diagnostics and diagnostics.boot_diagnostics and diagnostics.boot_diagnostics.enabled):
        raise Conflict(
            "OperationNotAllowed",
            f"Boot diagnostics are not enabled on VM '{row.name}': run `az vm boot-diagnostics enable` first.",
        )
    minutes = context.query.get("sasuriexpirationtimeinminutes", "120")
    if not re.fullmatch(r"[0-9]{1,4}", minutes) or not 1 <= int(minutes) <= 1440:
        raise BadRequest(
            "InvalidParameter",
            "sasUriExpirationTimeInMinutes must be 1 to 1440.",
            target="sasUriExpirationTimeInMinutes",
        )
    link = context.service.installation.secrets.sign(f"/skerry/serial/{row.private['vm']}", int(minutes) * 60)
    return Result({"serialConsoleLogBlobUri": f"{context.base_url}{link}"})


ACTIONS = {
    "start": _begin(steps.START),
    "poweroff": _begin(steps.STOP, allocated=True, state=_skip_shutdown),
    "restart": _begin(steps.RESTART, allocated=True),
    "deallocate": _begin(steps.DEALLOCATE),
    "redeploy": _begin(steps.REDEPLOY, allocated=True),
    "reapply": _begin(steps.REAPPLY),
    "retrievebootdiagnosticsdata": Action(_boot_diagnostics),
}
