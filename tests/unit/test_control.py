"""Control planes that share a database share no machine."""

from pathlib import Path

from skerry.arm.secrets import Secrets
from skerry.arm.service import Installation
from skerry.control import ControlPlane


class NoAgent:
    """A gateway to nobody."""

    def serial_log(self, vm: str) -> bytes | None:
        """Nothing."""


def plane(database: str | Path) -> ControlPlane:
    installation = Installation("00000000-0000-0000-0000-000000000001", "t", "https://localhost:1", Secrets(bytes(32)))
    return ControlPlane(database, installation, NoAgent())


def test_a_host_stays_the_state_folder_s_that_claimed_it_first(database: str | Path) -> None:
    first, second = plane(database), plane(database)
    assert first.claim_host("folder-a")
    assert not second.claim_host("folder-b")
    first.stop()
    assert not second.claim_host("folder-b")
    again = plane(database)
    assert again.claim_host("folder-a")
    again.stop()
    second.stop()
