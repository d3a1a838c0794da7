"""What the agent needs of a network. Every call looks before it acts and may be repeated."""

from collections.abc import Sequence
from typing import Literal, Protocol

from skerry.hostspec import VnetSpec


class GuestPlatform(Protocol):
    """What the network's metadata and wire servers ask about the guest behind a port. Called from any thread."""

    def metadata(self, port: str) -> str | None:
        """The guest's instance metadata document (JSON object: {"compute": …, "network": …}); None: no such guest."""

    def vm(self, port: str) -> str | None:
        """The id (vmId) of the VM that the port belongs to."""

    def report_health(self, port: str, state: Literal["Ready", "NotReady"], description: str) -> None:
        """The guest behind `port` told the platform how its provisioning went."""


class NetworkDriver(Protocol):
    """Ports, rules, DHCP, metadata and public addresses of all VNets on this host."""

    def apply(self, vnets: Sequence[VnetSpec]) -> None:
        """Make the host's networks exactly `vnets`: adds, changes in place, and tears down what isn't named.

        Established flows that remain allowed are never cut. Raises HostError after having applied what it could.
        """

    def problems(self) -> Sequence[tuple[str, str, str]]:
        """(kind, id, message) of what went wrong since the last `apply` and could not be mended yet."""

    def tap(self, port: str) -> int:
        """A new descriptor of the port's TAP for a QEMU to inherit; the caller closes its copy.

        Raises HostError for a port that isn't in what was applied last, or whose TAP is still held by a QEMU.
        """

    def greets(self, port: str, tcp_port: int) -> bool:
        """Whether the guest behind a port says something on a TCP port; NSGs don't apply. Takes seconds at most.

        Raises HostError or OSError when it can't be asked: no such port, no guest, nobody listens.
        """

    def close(self, *, keep: bool) -> None:
        """Stop serving. `keep`: namespaces, TAPs, rules and DHCP stay for running guests; else all is removed."""
