"""A VM that continues from a checkpoint's memory."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skerry.host.compute.qemu.argv import Memory
from skerry.host.compute.qemu.launch import Launched
from skerry.host.compute.qemu.qmp import Monitor
from skerry.host.errors import HostError
from skerry.host.warm.clone import restore
from skerry.host.warm.guest_agent import GuestAgent

SCRIPT_SECONDS = 300.0


@dataclass
class Continued:
    """An Origin: the checkpoint's memory, and its `state` as an open file.

    `script`: what the guest has to do first, if its agent answers within `patience` seconds. `grow`: new sizes of
    disks, by node. `fork`: it has no link until the script is done, and the script must succeed; else what is in its
    way is `trouble`.
    """

    memory: Memory
    state: int
    script: bytes
    patience: float
    grow: Sequence[tuple[str, int]]
    nics: int
    fork: bool
    trouble: str = ""
    phases: dict[str, float] = field(default_factory=dict)

    def launch(self, start: Callable[[Memory], Launched], folder: Path) -> Launched:  # noqa: ARG002
        """See Origin."""
        return start(self.memory)

    def wake(self, monitor: Monitor, agent: Path) -> None:
        """See Origin."""
        began = time.monotonic()
        restore(monitor, self.state)
        for node, size in self.grow:
            monitor.execute("block_resize", {"node-name": node, "size": size})
        if self.fork:
            self._link(monitor, up=False)
        monitor.execute("cont")
        self.phases["restored"] = time.monotonic() - began
        try:
            self._run(agent, began)
        except (HostError, OSError) as error:
            if self.fork:
                raise
            self.trouble = f"it continued from the checkpoint, but its clock could not be set: {error}"
        if self.fork:
            self._link(monitor, up=True)

    def _run(self, agent: Path, began: float) -> None:
        with GuestAgent(agent) as channel:
            channel.wait(self.patience)
            self.phases["agent"] = time.monotonic() - began
            channel.run("/usr/bin/perl", self.script, SCRIPT_SECONDS)
        self.phases["identity"] = time.monotonic() - began

    def _link(self, monitor: Monitor, *, up: bool) -> None:
        for number in range(self.nics):
            monitor.execute("set_link", {"name": f"nic{number}", "up": up})
