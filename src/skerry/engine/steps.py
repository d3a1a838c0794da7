"""What an operation is made of.

    InProgress ──Hop──▶ next step ──…──Done──▶ Succeeded
        │  ▲ Nap                 OperationFailed, deadline ──▶ Failed
        └──┘                     the resource has a newer owner ──▶ Canceled

A step runs in one transaction, looks before it acts and is safe to run twice. It ends in exactly one of Hop, Nap
and Done, or raises OperationFailed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skerry.arm.errors import ArmError, ErrorDetail
from skerry.store import OperationRow, ResourceRow, UnitOfWork

if TYPE_CHECKING:
    from skerry.arm.service import ResourceService
    from skerry.engine.placer import Placer


FAILING_SECONDS = 15.0  # how long a host may say that it can't before the operation fails; it tries every 10 s


@dataclass(frozen=True)
class Hop:
    """Go on with another step at once. An operation may name another in `state["waiter"]`, to be woken at its end."""

    step: str


@dataclass(frozen=True)
class Nap:
    """Go on after `seconds` (a minute at most), or already when `host` reports something new: with the same step again,
    or with another.
    """

    seconds: float
    host: str = ""
    step: str = ""


@dataclass(frozen=True)
class Done:
    """The operation succeeded; `result` is the JSON that `Location` answers instead of the resource."""

    result: bytes | None = None


Outcome = Hop | Nap | Done


class OperationFailed(ArmError):
    """The operation can't succeed any more; its error says why and what the user can do."""


@dataclass
class StepContext:
    """What a step may use: its transaction, its operation, the target's row, and the service for other resources.

    `placer` chooses hosts.
    """

    work: UnitOfWork
    operation: OperationRow
    row: ResourceRow
    service: "ResourceService"
    now: float
    placer: "Placer"

    def failing(self, why: str) -> float:
        """For how many seconds a host has said that it can't; 0 when `why` is empty.

        What it said before this operation is no reason yet: it may try again.
        """
        state = self.operation.state
        if not why:
            state.pop("failing_since", None)
            return 0.0
        since: float = min(state.get("failing_since", self.now), self.now)
        state["failing_since"] = since
        return self.now - since


Step = Callable[[StepContext], Outcome]


def _keep(_context: StepContext, _error: ErrorDetail) -> None:
    """Nothing to undo."""


@dataclass(frozen=True)
class OperationKind:
    """A named sequence of steps; the first is `start`.

    `on_failure` runs in the failing transaction: the place to undo. `timed_out` makes the error of a deadline.
    `fails_resource`: a failure shows in the resource's provisioningState.
    `owns=False`: waits for something without owning the resource; several may run at once, beside an owner.
    """

    name: str
    steps: Mapping[str, Step]
    on_failure: Callable[[StepContext, ErrorDetail], None] = _keep
    timed_out: Callable[[StepContext], ErrorDetail] | None = None
    fails_resource: bool = True
    owns: bool = True
