"""What is said of a VM's operation that ran out of time."""

from skerry.arm.errors import ErrorDetail
from skerry.engine.steps import StepContext
from skerry.resources.compute.virtual_machine.model import observed

LOG_TAIL = 2000


def log_tail(context: StepContext) -> str:
    """The end of the guest's serial log, as a sentence."""
    log = context.service.serial_log(context.row.private["vm"])
    if not log:
        return "Its serial console printed nothing."
    text = log[-LOG_TAIL:].decode(errors="replace")
    printable = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    return f"The end of its serial log: {printable.strip()}"


def provisioning_timed_out(context: StepContext) -> ErrorDetail:
    """The error of a creation that took too long."""
    if context.operation.step != "await_ready":
        return power_timed_out(context)
    return ErrorDetail(
        "OSProvisioningTimedOut",
        f"OS Provisioning for VM '{context.row.name}' did not finish in the allotted time. The VM may still finish "
        "provisioning successfully; it is kept. Please check provisioning state later, or its serial log with "
        f"`az vm boot-diagnostics get-boot-log`. {log_tail(context)}",
    )


def power_timed_out(context: StepContext) -> ErrorDetail:
    """The error of any other operation on a VM that took too long."""
    seen = observed(context.work, context.row)
    why = (seen.message if seen else "") or "the host did not report it in time"
    return ErrorDetail(
        "OperationTimedOut",
        f"The operation on VM '{context.row.name}' did not finish in step '{context.operation.step}': {why}. "
        "Nothing was removed; try again.",
    )
