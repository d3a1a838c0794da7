"""The door between control plane and agent, from both sides. On one machine both ends are in one process."""

from typing import Protocol

from skerry.hostspec.observed import Observed
from skerry.hostspec.spec import HostSpec


class SpecSource(Protocol):
    """What an agent calls."""

    def desired(self, newer_than: int, timeout: float) -> HostSpec | None:
        """The host's whole spec once its revision exceeds `newer_than`; None after `timeout` seconds without."""

    def report(self, observed: Observed) -> None:
        """Store what was seen. Safe to repeat."""


class HostGateway(Protocol):
    """What the control plane may ask an agent for while a client waits; never a change."""

    def serial_log(self, vm: str) -> bytes | None:
        """The end of the VM's serial console log (at most 1 MiB, oldest first); None if it never ran here."""
