"""What an operation remembers of its way: an entry for each step, one for all naps at a step."""

from skerry.arm.errors import ErrorDetail
from skerry.engine.steps import Done, Hop, Nap, Outcome
from skerry.store import OperationRow

KEPT = 100  # entries; a group's delete or a large deployment may take more steps


def record(operation: OperationRow, step: str, at: float, seconds: float, outcome: Outcome | ErrorDetail | None) -> str:
    """Add a step to the operation's trace. Returns how it went: hop, nap, done or failed.

    An entry is `{"step", "at" (epoch seconds, the first time), "seconds" (spent in it), "outcome", "times"}`.
    """
    how = {Hop: "hop", Nap: "nap", Done: "done"}.get(type(outcome), "failed")
    last = operation.trace[-1] if operation.trace else None
    if last is not None and (last["step"], last["outcome"]) == (step, how):
        last["times"] += 1
        last["seconds"] = round(last["seconds"] + seconds, 6)
    else:
        entry = {"step": step, "at": at, "seconds": round(seconds, 6), "outcome": how, "times": 1}
        operation.trace = [*operation.trace, entry][-KEPT:]
    return how
