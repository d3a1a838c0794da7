"""What happens to a VM.

    vm-create      start: room on a host, ports, disk ─▶ await_running ─▶ await_ready (with an osProfile) ─▶ Succeeded
    vm-start       start: room if deallocated, an order to start ─▶ await_running
    vm-stop        start ─▶ await_stopped                      vm-restart  start ─▶ await_restarted
    vm-resize      start: room, new spec, restart if running ─▶ await_restarted
    vm-deallocate  start: stop ─▶ await_stopped ─▶ leave ─▶ await_gone
    vm-redeploy    start: as deallocate ─▶ … ─▶ allocate ─▶ await_running
    vm-restore     start: an order to restore ─▶ await_restored
    vm-delete      start: leave ─▶ await_gone ─▶ clean ─▶ await_disk ─▶ the row goes

A step that fails leaves the VM as it is, with provisioningState Failed; delete works in every state.
"""

import structlog

from skerry.arm.errors import ErrorDetail
from skerry.arm.ids import parse_id
from skerry.arm.rows import body_of, model_of, set_body, set_state
from skerry.engine.steps import FAILING_SECONDS, Done, Hop, Nap, OperationFailed, OperationKind, Outcome, StepContext
from skerry.hostspec import VmObserved
from skerry.placement import Choice, Request, sentence
from skerry.resources.compute.catalogue.sizes import get_size
from skerry.resources.compute.disk import model as disks
from skerry.resources.compute.virtual_machine.model import (
    computer_name,
    decision,
    may_start_warm,
    nic_keys,
    observed,
    os_disk_key,
    size_name,
    spec_of,
)
from skerry.resources.compute.virtual_machine.timeouts import log_tail, power_timed_out, provisioning_timed_out
from skerry.resources.compute.virtual_machine.wire import VirtualMachine
from skerry.resources.network import spec as network

log = structlog.get_logger()

PROVISION_SECONDS = 20 * 60.0
POWER_SECONDS = 10 * 60.0
DELETE_SECONDS = 10 * 60.0
_STARTED = ("running", "stopped")  # powers of a VM whose order to start was carried out


def _vm(context: StepContext) -> VirtualMachine:
    return model_of(context.row, VirtualMachine)


def _host(context: StepContext) -> str:
    """Where the VM is; empty while it is deallocated."""
    return str(context.row.private["host"])


def _order(context: StepContext, **changes: object) -> None:
    """Change what is wanted of the VM, and tell its host if it has one."""
    context.row.private.update(changes)
    context.work.resources.save(context.row)
    if context.row.private["host"]:
        private, spec = context.row.private, spec_of(context.work, context.row)
        revision = context.work.hosts.put(private["host"], spec)
        context.operation.state["revision"] = revision
        # Joins the two halves of the log: the operation's lines, and the agent's, which know the VM's id only.
        log.info("host told what a VM should be", vm=spec.id, host=private["host"], revision=revision, power=spec.power)


def _number(context: StepContext, order: str) -> int:
    """The number of this operation's order to `start` or `restart`: one, however often its step runs."""
    number: int = context.operation.state.setdefault(order, context.row.private[order] + 1)
    return number


def _request(context: StepContext) -> Request:
    """What the VM needs of a host. It starts where its disk is: no disk is moved yet."""
    vm, work = _vm(context), context.work
    size, disk = get_size(size_name(vm)), work.resources.get(os_disk_key(vm))
    assert disk is not None
    return Request(
        vcpus=size.vcpus,
        memory_bytes=size.memory_bytes,
        architecture=disks.architecture(disk),
        zone=vm.zones[0] if vm.zones else None,
        host=disk.private.get("host") or None,
    )


def _no_room(context: StepContext, choice: Choice) -> OperationFailed:
    size = size_name(_vm(context))
    what_to_do = (
        "See that the hosts that don't report run and reach Skerry."
        if choice.may_come
        else "Choose a smaller size, or deallocate or delete other VMs."
    )
    return OperationFailed(
        "AllocationFailed",
        f"Allocation failed. There is no room for a VM of size {size}: {sentence(choice)} {what_to_do}",
    )


def _waits_for_host(context: StepContext, choice: Choice) -> bool:
    """Whether a host that would do may report soon: it mostly is Skerry that was away. Raises OperationFailed else."""
    waited = context.failing("no host" if choice.may_come else "")
    if choice.host is None and not (choice.may_come and waited < FAILING_SECONDS):
        raise _no_room(context, choice)
    return choice.host is None


def _choose_host(context: StepContext) -> str | None:
    """The host that the VM has, or else a new one; None while one may come.

    Raises OperationFailed `AllocationFailed` when none has room.
    """
    private = context.row.private
    if private["host"]:
        return str(private["host"])
    choice = context.placer.choose(context.work, _request(context))
    if _waits_for_host(context, choice):
        return None
    private |= {"host": choice.host, "placement": decision(choice, context.now)}
    private.pop("leaving", None)
    return choice.host


def _allocate(context: StepContext) -> Outcome:
    vm, row, was_there = _vm(context), context.row, bool(_host(context))
    host = _choose_host(context)
    if host is None:
        return Nap(1)
    disks.place(context.work, os_disk_key(vm), host)
    for key in nic_keys(vm):
        network.place_nic(context.work, key, host, row.private["vm"], hostname=computer_name(vm))
    warm = "fork" not in row.private and may_start_warm(context.work, row, vm)
    _order(context, power="running", hard=False, warm=warm)
    return Hop("await_running") if was_there else Nap(1, host, "await_running")  # it can't have heard of it yet


def _create(context: StepContext) -> Outcome:
    """Also of a VM whose creation failed, with what of it was made."""
    seen = observed(context.work, context.row) if _host(context) else None
    if seen is not None and seen.power == "stopped":
        context.row.private["start"] = _number(context, "start")
    return _allocate(context)


def _start(context: StepContext) -> Outcome:
    if not context.row.private["host"]:
        context.row.private["start"] = _number(context, "start")
        return _allocate(context)
    seen = observed(context.work, context.row)
    if seen is None or seen.power not in ("running", "starting"):
        context.row.private["start"] = _number(context, "start")
    _order(context, power="running", hard=False)
    return Hop("await_running")


def _await_running(context: StepContext) -> Outcome:
    seen = observed(context.work, context.row)
    if seen is None or seen.start_generation < context.row.private["start"] or seen.power not in _STARTED:
        _fail_if_stuck(context, seen)
        return Nap(1, _host(context))
    if seen.power == "stopped" and context.operation.kind == START.name and "start" not in context.operation.state:
        return Hop("start")  # it seemed to run when the order came
    if context.operation.kind == CREATE.name and _vm(context).properties.os_profile is not None:
        context.operation.state["ran"] = _seconds(context)
        return Hop("await_ready")
    return _finish_started(context, seen)


def _finish_started(context: StepContext, seen: VmObserved) -> Outcome:
    """It has run, which is what was asked for. A guest that has been powered off since is none of our business."""
    if seen.power == "stopped" and seen.message:
        raise OperationFailed(
            "VMStartFailed",
            f"VM '{context.row.name}' was started and has ended again: {seen.message}. Its disks are kept; start it "
            "again.",
        )
    context.row.private.pop("unmade", None)
    _forget_origin(context)
    _tell_start(context, seen)
    return _finish(context)


def _tell_start(context: StepContext, seen: VmObserved) -> None:
    """For the activity log: how it started, when it ran and was ready, and the phases of a warm start, in seconds."""
    state, now = context.operation.state, _seconds(context)
    reached = {"running": state["ran"], "ready": now} if "ran" in state else {"running": now}
    state["started"] = {"start": "warm" if seen.phases else "cold", **reached, "phases": seen.phases}


def _seconds(context: StepContext) -> float:
    return round(context.now - context.operation.started, 3)


def _fail_if_stuck(context: StepContext, seen: VmObserved | None) -> None:
    """Raises OperationFailed when the host has said for a while that it can't."""
    disk, host = context.work.resources.get(os_disk_key(_vm(context))), _host(context)
    disk_seen = context.work.hosts.disk(host, disk.private["disk"]) if disk else None
    disk_problem = context.work.hosts.problem(host, "disk", disk.private["disk"]) if disk else None
    why = (seen.message if seen and seen.power == "failed" else "") or (disk_seen.message if disk_seen else "")
    why = why or disk_problem or ""
    if context.failing(why) > FAILING_SECONDS:
        raise OperationFailed(
            "VMStartFailed",
            f"VM '{context.row.name}' could not be started: {why.rstrip('.')}. Its disks are kept; start it again.",
        )


def _await_ready(context: StepContext) -> Outcome:
    seen = observed(context.work, context.row)
    if seen is None:
        return Nap(2, _host(context))
    if seen.health == "ready":
        _tell_start(context, seen)
        context.row.private["provisioned"] = True
        context.row.private.pop("unmade", None)
        _forget_secrets(context)
        _forget_origin(context)
        return _finish(context)
    if seen.health == "failed":
        raise OperationFailed(
            "OSProvisioningClientError", f"OS provisioning for VM '{context.row.name}' failed: {seen.message}"
        )
    if seen.power == "stopped":
        raise OperationFailed(
            "OSProvisioningClientError",
            f"VM '{context.row.name}' stopped before its guest reported ready. {seen.message} {log_tail(context)}",
        )
    return Nap(5, _host(context))


def _forget_secrets(context: StepContext) -> None:
    """The guest has its password's hash and its custom data: nobody else needs them any more."""
    kept = [context.row.private.pop(name, None) for name in ("password_hash", "custom_data")]
    if any(kept):
        _order(context)


def _forget_origin(context: StepContext) -> None:
    """A fork has gone on from its checkpoint's memory: it never does so again, and the restore point may be deleted."""
    if context.row.private.pop("fork", None):
        _unlink(context, "fork")
        _order(context)


def _unlink(context: StepContext, kind: str) -> None:
    links = context.work.resources.links_from(context.row.key)
    context.work.resources.set_links(context.row.key, [link for link in links if link.kind != kind])


def _finish(context: StepContext) -> Outcome:
    set_state(context.row, "Succeeded")
    context.work.resources.save(context.row)
    return Done()


def _stop(context: StepContext) -> Outcome:
    _order(context, power="stopped", hard=bool(context.operation.state.get("hard")))
    return Hop("await_stopped")


def _await_stopped(context: StepContext) -> Outcome:
    if context.row.private["host"] and not _is_stopped(context):
        return Nap(1, _host(context))
    return _finish(context) if context.operation.kind == STOP.name else Hop("leave")


def _is_stopped(context: StepContext) -> bool:
    seen = observed(context.work, context.row)
    looked = context.work.hosts.applied(_host(context)) >= context.operation.state.get("revision", 0)
    return looked and (seen is None or seen.power in ("stopped", "failed"))


def _restart(context: StepContext) -> Outcome:
    _order(context, power="running", hard=False, restart=_number(context, "restart"))
    return Hop("await_restarted")


def _await_restarted(context: StepContext) -> Outcome:
    seen = observed(context.work, context.row)
    wanted = context.row.private["restart"]
    if seen is None or seen.restart_generation < wanted or seen.power not in _STARTED:
        _fail_if_stuck(context, seen)
        return Nap(1, _host(context))
    return _finish_started(context, seen)


def _resize(context: StepContext) -> Outcome:
    choice = context.placer.fits(context.work, _request(context), context.row.private["vm"])
    if _waits_for_host(context, choice):
        return Nap(1)
    seen = observed(context.work, context.row)
    if seen is None or seen.power not in ("running", "starting"):
        _order(context)
        return _finish(context)
    return _restart(context)


def _undo_resize(context: StepContext, error: ErrorDetail) -> None:
    """Without room the VM keeps its size, as on Azure."""
    if error.code != "AllocationFailed":
        return
    body = body_of(context.row)
    body["properties"]["hardwareProfile"]["vmSize"] = context.operation.state["from"]
    set_body(context.row, body)
    context.work.resources.save(context.row)


def _reapply(context: StepContext) -> Outcome:
    _order(context)
    return Hop("await_applied")


def _await_applied(context: StepContext) -> Outcome:
    host = _host(context)
    if host and context.work.hosts.applied(host) < context.operation.state["revision"]:
        return Nap(1, host)
    return _finish(context)


def _restore(context: StepContext) -> Outcome:
    """One with memory runs afterwards; one without boots if the VM was to run."""
    private, state = context.row.private, context.operation.state
    if "restore" not in state:
        # A number that no order had: the host may yet carry out one that was taken back.
        state["before"], state["restore"] = private.get("restore"), private.get("restores", 0) + 1
        seen = observed(context.work, context.row)
        state["said"] = seen.message if seen else ""
    order = {"checkpoint": state["checkpoint"], "generation": state["restore"]}
    changes: dict[str, object] = {"restore": order, "restores": state["restore"]}
    if state["memory"] or private["power"] == "running":
        changes |= {"power": "running", "hard": False, "start": _number(context, "start")}
    _order(context, **changes)
    return Hop("await_restored")


def _await_restored(context: StepContext) -> Outcome:
    seen, private = observed(context.work, context.row), context.row.private
    runs = private["power"] == "running"
    met = seen is not None and seen.restore_generation >= private["restore"]["generation"]
    if seen is None or not met or (runs and seen.start_generation < private["start"]) or seen.power not in _STARTED:
        why = seen.message if seen else ""
        if seen is not None and seen.power != "failed" and why == context.operation.state["said"]:
            why = ""  # it was said of something earlier
        if context.failing(why) > FAILING_SECONDS:
            raise OperationFailed(
                "VMRestoreFailed",
                f"VM '{context.row.name}' could not be put back: {why.rstrip('.')}. It goes on as it is; its disks and "
                "the restore point are kept. Try again once that is mended.",
            )
        return Nap(1, _host(context))
    _end_restore(context)
    # A host that loses its record of the VM must not put it back once more.
    _order(context, restore={"checkpoint": None, "generation": private["restore"]["generation"]})
    return _finish_started(context, seen) if runs else _finish(context)


def _end_restore(context: StepContext) -> None:
    """The restore point is not needed any more."""
    if context.row.private.pop("restoring", None):
        _unlink(context, "restore")
        context.work.resources.save(context.row)


def _withdraw_restore(context: StepContext, _error: ErrorDetail) -> None:
    """An order that has failed must not be carried out later, when the VM has gone on."""
    _end_restore(context)
    if "restore" in context.operation.state:
        before = context.operation.state["before"]
        context.row.private.pop("restore")
        _order(context, **({"restore": before} if before else {}))


def _leave(context: StepContext) -> Outcome:
    """Give back what the VM has on its host; disks, NICs and addresses stay."""
    private = context.row.private
    host = private["host"] or private.get("leaving")
    if host:
        for key in nic_keys(_vm(context)):
            network.unplace_nic(context.work, key)
        context.operation.state["revision"] = context.work.hosts.drop(host, "vm", private["vm"])
        _forget_checkpoints(context)
        private |= {"host": "", "leaving": host}
        context.work.resources.save(context.row)
    return Hop("await_gone")


def _forget_checkpoints(context: StepContext) -> None:
    """What the host is told when it has the VM again must not put it back, nor let it go on from memory, once more."""
    seen = observed(context.work, context.row)
    context.row.private.pop("restore", None)
    if seen is not None and seen.start_generation and context.row.private.pop("fork", None):
        _unlink(context, "fork")


def _await_gone(context: StepContext) -> Outcome:
    host = context.row.private.get("leaving")
    if host:
        looked = context.work.hosts.applied(host) >= context.operation.state["revision"]
        if not looked or context.work.hosts.vm(host, context.row.private["vm"]) is not None:
            return Nap(1, host)
        del context.row.private["leaving"]
        context.work.resources.save(context.row)
    if context.operation.kind == DELETE.name:
        return Hop("clean")
    if context.operation.kind == REDEPLOY.name:
        context.row.private["start"] = _number(context, "start")
        context.work.resources.save(context.row)
        return Hop("allocate")
    return _finish(context)


def _clean(context: StepContext) -> Outcome:
    """Obey `deleteOption` of NICs, their public addresses, and the OS disk."""
    vm, work = _vm(context), context.work
    work.resources.set_links(context.row.key, [])
    profile = vm.properties.network_profile
    for nic in profile.network_interfaces if profile else []:
        if nic.properties and nic.properties.delete_option == "Delete":
            _delete_nic(context, nic.id)
    storage = vm.properties.storage_profile
    if storage and storage.os_disk and storage.os_disk.delete_option == "Delete":
        key = os_disk_key(vm)
        disk = work.resources.get(key)
        if disk is not None:
            context.service.delete(work, parse_id(disk.id))
            context.operation.state["disk"] = key
    return Hop("await_disk")


def _delete_nic(context: StepContext, text: str) -> None:
    row = context.work.resources.get(text.lower())
    if row is None:
        return
    properties = body_of(row)["properties"]
    context.service.delete(context.work, parse_id(row.id))
    for configuration in properties.get("ipConfigurations", []):
        address = configuration["properties"].get("publicIPAddress", {})
        if address.get("properties", {}).get("deleteOption") == "Delete" or address.get("deleteOption") == "Delete":
            context.service.delete(context.work, parse_id(address["id"]))


def _await_disk(context: StepContext) -> Outcome:
    key = context.operation.state.get("disk")
    disk = context.work.resources.get(key) if key else None
    if disk is not None and disk.operation:
        return Nap(0.3)
    if disk is not None:
        raise OperationFailed(
            "DiskNotDeleted",
            f"VM '{context.row.name}' is gone from its host, but its disk '{disk.name}' couldn't be "
            "deleted. Delete the VM again.",
        )
    context.work.resources.delete(context.row.key)
    return Done()


_RUN = {"await_running": _await_running, "await_ready": _await_ready}
_GO = {"leave": _leave, "await_gone": _await_gone}

CREATE = OperationKind("vm-create", {"start": _create, **_RUN}, timed_out=provisioning_timed_out)
START = OperationKind("vm-start", {"start": _start, **_RUN}, timed_out=power_timed_out)
STOP = OperationKind("vm-stop", {"start": _stop, "await_stopped": _await_stopped}, timed_out=power_timed_out)
RESTART = OperationKind(
    "vm-restart", {"start": _restart, "await_restarted": _await_restarted}, timed_out=power_timed_out
)
RESIZE = OperationKind(
    "vm-resize",
    {"start": _resize, "await_restarted": _await_restarted},
    on_failure=_undo_resize,
    timed_out=power_timed_out,
)
REAPPLY = OperationKind("vm-reapply", {"start": _reapply, "await_applied": _await_applied}, timed_out=power_timed_out)
DEALLOCATE = OperationKind(
    "vm-deallocate", {"start": _stop, "await_stopped": _await_stopped, **_GO}, timed_out=power_timed_out
)
REDEPLOY = OperationKind(
    "vm-redeploy",
    {"start": _stop, "await_stopped": _await_stopped, **_GO, "allocate": _allocate, **_RUN},
    timed_out=power_timed_out,
)
RESTORE = OperationKind(
    "vm-restore",
    {"start": _restore, "await_restored": _await_restored},
    on_failure=_withdraw_restore,
    timed_out=power_timed_out,
)
DELETE = OperationKind(
    "vm-delete",
    {"start": _leave, "await_gone": _await_gone, "clean": _clean, "await_disk": _await_disk},
    timed_out=power_timed_out,
)
KINDS = (CREATE, START, STOP, RESTART, RESIZE, REAPPLY, DEALLOCATE, REDEPLOY, RESTORE, DELETE)
