"""A VM's first start from a template: restore the machine, let it run, make it its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from skerry.host.compute.qemu.argv import Memory
from skerry.host.compute.qemu.launch import Launched
from skerry.host.compute.qemu.qmp import Monitor
from skerry.host.errors import HostError
from skerry.host.warm.guest_agent import GuestAgent

RESTORE_SECONDS, AGENT_SECONDS, IDENTITY_SECONDS = 30.0, 30.0, 90.0
POLL_SECONDS = 0.003
IGNORE_SHARED = {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}


@dataclass
class Clone:
    """An Origin: the template's memory, and its `state` as an open file.

    `identity` is what makes the guest its own (see identity.py); `grow` the size of its disk if that differs.
    `phases`: seconds from the start of the restore to the end of each phase.
    """

    memory: Memory
    state: int
    identity: bytes
    grow: int | None
    phases: dict[str, float] = field(default_factory=dict)

    def launch(self, start: Callable[[Memory], Launched], folder: Path) -> Launched:  # noqa: ARG002
        """See Origin."""
        return start(self.memory)

    def wake(self, monitor: Monitor, agent: Path) -> None:
        """See Origin."""
        began = time.monotonic()
        # Before, as when the template was saved: an agent that finds nobody there sleeps for a tenth of a second.
        with GuestAgent(agent) as channel:
            restore(monitor, self.state)
            if self.grow is not None:
                monitor.execute("block_resize", {"node-name": "os", "size": self.grow})
            monitor.execute("cont")
            self.phases["restored"] = time.monotonic() - began
            channel.wait(AGENT_SECONDS)
            self.phases["agent"] = time.monotonic() - began
            connect(monitor)
            channel.tell(self.identity, IDENTITY_SECONDS)
            self.phases["identity"] = time.monotonic() - began


def connect(monitor: Monitor) -> None:
    """Plug the cable in that every template is without."""
    monitor.execute("set_link", {"name": "nic0", "up": True})


def restore(monitor: Monitor, state: int) -> None:
    """Load the state from the open file `state` into a QEMU that waits for it; it is paused then."""
    monitor.execute("migrate-set-capabilities", IGNORE_SHARED)
    monitor.give("state", state)
    monitor.execute("migrate-incoming", {"uri": "fd:state"})
    deadline = time.monotonic() + RESTORE_SECONDS
    while monitor.status() == "inmigrate":
        if time.monotonic() > deadline:
            raise HostError(f"the template's state was not restored within {RESTORE_SECONDS:g} s")
        time.sleep(POLL_SECONDS)


def save(monitor: Monitor, state: int) -> None:
    """Stop a machine with shared memory and write the rest of its state to the open file `state`."""
    monitor.execute("stop")
    monitor.execute("migrate-set-capabilities", IGNORE_SHARED)
    monitor.give("state", state)
    monitor.execute("migrate", {"uri": "fd:state"})
    deadline = time.monotonic() + RESTORE_SECONDS
    while (status := _migration(monitor)) != "completed":
        if status in ("failed", "cancelled") or time.monotonic() > deadline:
            raise HostError(f"the template's state was not saved: {status}")
        time.sleep(POLL_SECONDS)


def _migration(monitor: Monitor) -> str:
    answer = monitor.execute("query-migrate")
    return str(answer.get("status", "")) if isinstance(answer, dict) else ""
