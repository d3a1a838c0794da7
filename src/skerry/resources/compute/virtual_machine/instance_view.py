"""A VM's instance view: what runs now, as the host last reported it.

`statuses` has exactly two entries, provisioning and power: clients count them.
Source: https://learn.microsoft.com/rest/api/compute/virtual-machines/instance-view
"""

from typing import Any

from skerry.arm.rows import Body, model_of, timestamp
from skerry.hostspec import VmObserved
from skerry.resources.compute.virtual_machine.model import computer_name, observed
from skerry.resources.compute.virtual_machine.wire import VirtualMachine
from skerry.store import ResourceRow, UnitOfWork

_DISPLAY = {
    "Creating": "Creating",
    "Updating": "Updating",
    "Succeeded": "Provisioning succeeded",
    "Failed": "Provisioning failed",
    "Deleting": "Deleting",
}


def instance_view(work: UnitOfWork, row: ResourceRow) -> Body:
    """The whole instance view of a VM."""
    vm, seen = model_of(row, VirtualMachine), observed(work, row)
    view: Body = {}
    if seen is not None and seen.power in ("running", "starting"):
        view |= {"computerName": computer_name(vm), "hyperVGeneration": _generation(row)}
        view["vmAgent"] = _agent(vm, seen, row)
    view["disks"] = [_disk(vm, row)]
    diagnostics = vm.properties.diagnostics_profile
    if diagnostics and diagnostics.boot_diagnostics and diagnostics.boot_diagnostics.enabled:
        view["bootDiagnostics"] = {}
    view["statuses"] = [_provisioning(row), _power(work, row, seen)]
    return view


def _generation(row: ResourceRow) -> str:
    return "V2" if row.private["firmware"] == "uefi" else "V1"


def _status(code: str, display: str, level: str = "Info", **more: str) -> Body:
    return {"code": code, "level": level, "displayStatus": display, **more}


def _provisioning(row: ResourceRow) -> Body:
    state, when = row.state, timestamp(row.changed)
    if state != "Failed":
        return _status(f"ProvisioningState/{state.lower()}", _DISPLAY.get(state, state), time=when)
    failure: dict[str, Any] = row.private.get("failure") or {}
    code = failure.get("code", "")
    suffix = f"/{code}" if code else ""
    return _status(
        f"ProvisioningState/failed{suffix}",
        _DISPLAY["Failed"],
        "Error",
        message=failure.get("message", "The last operation failed."),
        time=when,
    )


def _power(work: UnitOfWork, row: ResourceRow, seen: VmObserved | None) -> Body:
    operation = work.operations.get(row.operation) if row.operation else None
    kind = operation.kind if operation else ""
    power = {"running": "running", "starting": "starting", "stopping": "stopping"}.get(
        seen.power if seen else "", "stopped"
    )
    if kind in ("vm-deallocate", "vm-delete"):
        power = "deallocating"
    elif not row.private["host"]:
        power = "starting" if kind in ("vm-create", "vm-start") else "deallocated"
    elif seen is None and kind in ("vm-create", "vm-start", "vm-redeploy"):
        power = "starting"
    # Why it runs again, or doesn't: Azure's own power states have no message.
    said = {"message": seen.message} if seen and seen.message else {}
    return _status(f"PowerState/{power}", f"VM {power}", **said)


def _agent(vm: VirtualMachine, seen: VmObserved, row: ResourceRow) -> Body:
    if seen.health == "ready" or (vm.properties.os_profile is None and seen.agent_version):
        status = _status(
            "ProvisioningState/succeeded", "Ready", message="The guest has reported ready.", time=timestamp(row.changed)
        )
    else:
        status = _status(
            "ProvisioningState/Unavailable",
            "Not Ready",
            "Warning",
            message="The guest has not reported to the platform yet.",
            time=timestamp(row.changed),
        )
    return {"vmAgentVersion": seen.agent_version or "Unknown", "statuses": [status]}


def _disk(vm: VirtualMachine, row: ResourceRow) -> Body:
    storage = vm.properties.storage_profile
    name = storage.os_disk.name if storage and storage.os_disk else ""
    status = _status("ProvisioningState/succeeded", "Provisioning succeeded", time=timestamp(row.created))
    return {"name": name, "statuses": [status]}


def expand_query(work: UnitOfWork, row: ResourceRow, body: Body, query: Any) -> None:
    """`$expand=instanceView` and `$expand=userData` of a GET; of a list `statusOnly=true` is the first of them."""
    asked = str(query.get("$expand", "")).lower().split(",")
    if "instanceview" in asked or query.get("statusonly", "").lower() == "true":
        body["properties"]["instanceView"] = instance_view(work, row)
    if "userdata" in asked and row.private.get("user_data"):
        body["properties"]["userData"] = row.private["user_data"]
