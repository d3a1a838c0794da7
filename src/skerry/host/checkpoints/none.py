"""No checkpoints: for a host that can't make any."""

from collections.abc import Sequence

from skerry.host.errors import Refused
from skerry.hostspec import CheckpointObserved, CheckpointSpec, VmSpec, VnetSpec

WHY = "this host makes no checkpoints"


class NoCheckpoints:
    """Refuses to make any."""

    def checkpoints(self) -> Sequence[CheckpointObserved]:
        return ()

    def make(self, checkpoint: CheckpointSpec, vm: VmSpec | None) -> CheckpointObserved:  # noqa: ARG002
        raise Refused(WHY)

    def remove(self, checkpoint: str) -> None:
        pass

    def put_back(self, vm: VmSpec) -> None:  # noqa: ARG002
        raise Refused(WHY)

    def resume(self, vm: VmSpec, taps: Sequence[int]) -> bool:  # noqa: ARG002
        raise Refused(WHY)

    def fork(self, vm: VmSpec, vnets: Sequence[VnetSpec], taps: Sequence[int]) -> bool:  # noqa: ARG002
        raise Refused(WHY)

    def close(self) -> None:
        pass
