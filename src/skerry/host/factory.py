"""Agents put together: one on this machine's QEMU, network and disks, or one on fakes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from skerry.host.agent import Agent
from skerry.host.capacity import GIB, Promise, measure
from skerry.host.checkpoints.fake import FakeCheckpoints
from skerry.host.compute.fake import FakeCompute
from skerry.host.guests import Guests
from skerry.host.network.fake import FakeNetwork
from skerry.host.storage.fake import FakeStorage
from skerry.host.warm.fake import FakeWarmStarts
from skerry.hostspec import HostCapacity
from skerry.hostspec.client import SpecSource

log = structlog.get_logger()


@dataclass(frozen=True)
class WarmOptions:
    """Of warm starts. `memory_gib` and `disk_gib`: what templates may take at most; None: a share of the host.

    `standby`: how many machines stand by for each template in use.
    """

    on: bool = True
    memory_gib: float | None = None
    disk_gib: float | None = None
    standby: int = 2


FAKE_CAPACITY = HostCapacity(cpus=32, memory_bytes=128 * GIB, disk_bytes=0, accelerator="fake")


def real_agent(
    state: Path,
    source: SpecSource,
    accel: Literal["auto", "kvm", "tcg"],
    warm: WarmOptions = WarmOptions(),
    promise: Promise = Promise(),
) -> Agent:
    """An agent on QEMU, the routed network and qcow2 disks under `state`; guests that run there are adopted.

    `warm`: whether new VMs may start from templates, which are made then, and what these may take.

    Raises HostError when the host lacks something that `skerry doctor` names. Call `start()` on what it returns.
    """
    # Imported here: simulated hosts and the API tests need none of what these load.
    from skerry.host.checkpoints.qemu import QemuCheckpoints
    from skerry.host.compute.accel import choose_accelerator
    from skerry.host.compute.qemu.driver import QemuCompute
    from skerry.host.network.routed import RoutedNetwork
    from skerry.host.storage.qcow2 import Qcow2Storage
    from skerry.host.warm import pool
    from skerry.host.warm.limits import Limits
    from skerry.host.warm.starts import TemplateStarts
    from skerry.host.warm.templates import Templates

    choice = choose_accelerator(accel)
    log.info("accelerator chosen", accelerator=choice.accelerator, reason=choice.reason)
    vms = state / "vms"
    guests = Guests(vms)
    storage = Qcow2Storage(state)
    network = RoutedNetwork(state, guests)
    compute = QemuCompute(vms, choice.accelerator, network.guests_netns)
    templates = Templates(state, Limits.of(state, warm.memory_gib, warm.disk_gib))
    templates.sweep()
    pool.sweep(state)
    starts = TemplateStarts(templates, compute, network, storage, warm.standby) if warm.on else None
    checkpoints = QemuCheckpoints(state, compute, network, storage)
    capacity = measure(choice.accelerator, promise)
    return Agent(source, compute, network, storage, checkpoints, guests=guests, capacity=capacity, warm=starts)


def fake_agent(
    source: SpecSource,
    *,
    capacity: HostCapacity = FAKE_CAPACITY,
    compute: FakeCompute | None = None,
    network: FakeNetwork | None = None,
    storage: FakeStorage | None = None,
    checkpoints: FakeCheckpoints | None = None,
    warm: FakeWarmStarts | None = None,
) -> Agent:
    """An agent whose guests are imagined; they become ready at once. Give a fake to turn its knobs later."""
    guests = Guests()
    compute = compute or FakeCompute()
    compute.platform = guests
    network = network or FakeNetwork(Path("/nonexistent"), guests)
    storage = storage or FakeStorage()
    checkpoints = checkpoints or FakeCheckpoints(compute, storage)
    return Agent(source, compute, network, storage, checkpoints, guests=guests, capacity=capacity, warm=warm)
