"""POST `restore` of a restore point: its VM is put back to it."""

from skerry.arm.descriptor import ActionContext, Result
from skerry.arm.errors import Conflict
from skerry.arm.ids import parse_id
from skerry.arm.rows import new_operation
from skerry.resources.compute.checkpoints import Checkpoint, check_made, checkpoint_of
from skerry.resources.compute.restore_point.model import hardware, source_of
from skerry.resources.compute.virtual_machine import steps
from skerry.store import Link, ResourceRow, UnitOfWork


def restore(context: ActionContext) -> Result:
    """Check that the VM can be put back, and begin to."""
    point, work = context.resource, context.work
    check_made(work, point, "restorePoint")
    kept, vm = checkpoint_of(point), _vm(context, point)
    _check_state(vm)
    _check_hardware(work, kept, vm)
    link = Link(vm.key, point.key, "restore")
    work.resources.set_links(vm.key, [*work.resources.links_from(vm.key), link])
    state = {"checkpoint": kept.id, "memory": kept.memory}
    operation = new_operation(vm, steps.RESTORE.name, seconds=steps.POWER_SECONDS, state=state)
    vm.private["restoring"] = point.key
    work.resources.save(vm)
    return Result(operation=operation, status=202)


def _vm(context: ActionContext, point: ResourceRow) -> ResourceRow:
    """The VM that the point is of, not another of its name."""
    source, vm = source_of(context.work, point)
    if vm is None or vm.private["vm"] != checkpoint_of(point).vm:
        raise Conflict(
            "OperationNotAllowed",
            f"The VM that restore point '{point.name}' was made of is not there any more ({parse_id(source).name}). "
            "Make a new VM of the point (storageProfile.imageReference.id), or disks of its disk restore points "
            "(createOption Restore).",
        )
    return vm


def _check_state(vm: ResourceRow) -> None:
    if vm.operation or vm.state == "Deleting":
        raise Conflict(
            "Conflict", f"Another operation is in progress on virtual machine '{vm.name}'. Wait for it and try again."
        )
    if not vm.private["host"]:
        raise Conflict(
            "OperationNotAllowed",
            f"Operation 'restore' is not allowed on VM '{vm.name}' since the VM is deallocated. Start it first.",
        )


def _check_hardware(work: UnitOfWork, kept: Checkpoint, vm: ResourceRow) -> None:
    size, macs, disks = hardware(work, vm)
    if disks != [disk.disk for disk in kept.disks]:
        raise Conflict("OperationNotAllowed", f"VM '{vm.name}' has other disks now than when the point was made.")
    if kept.memory and size != kept.size:
        raise Conflict(
            "OperationNotAllowed",
            f"The restore point holds the memory of a VM of size {kept.size}; VM '{vm.name}' is a {size} now. Resize "
            f"it to {kept.size} first.",
        )
    if kept.memory and macs != kept.macs:
        raise Conflict(
            "OperationNotAllowed",
            f"VM '{vm.name}' has other network interfaces now than when the point was made: its memory can't go on "
            "with them. Attach those of then first.",
        )
