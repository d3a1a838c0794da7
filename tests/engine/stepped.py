"""A fake host and its agent that move only when told to, on a clock of their own; the host outlives the agent."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tests.engine.moments import Moments

from skerry.host.agent import Agent
from skerry.host.checkpoints.convergence import Checkpointing
from skerry.host.checkpoints.fake import FakeCheckpoints
from skerry.host.compute.driver import DiskFile
from skerry.host.compute.fake import FakeCompute
from skerry.host.factory import FAKE_CAPACITY
from skerry.host.guests import Guests
from skerry.host.jobs import Jobs
from skerry.host.network.fake import FakeNetwork
from skerry.host.storage.fake import FakeStorage
from skerry.hostspec import (
    CheckpointObserved,
    CheckpointSpec,
    DiskObserved,
    DiskSpec,
    Health,
    Observed,
    VmSpec,
    VnetSpec,
)
from skerry.hostspec.client import SpecSource


class Clock:
    """The time of a test: `time` may be set back and forth, `monotonic` only goes on."""

    def __init__(self) -> None:
        self._now, self._monotonic = 1_900_000_000.0, 1_000.0

    def time(self) -> float:
        """Seconds since the epoch, as this machine has it."""
        return self._now

    def perf_counter(self) -> float:
        """The same: steps take no time."""
        return self._monotonic

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._now += seconds
        self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self._now += seconds

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Every part asks this clock."""
        modules = [mock.patch(f"skerry.{name}.time", self) for name in ("host.agent", "engine.engine")]
        with mock.patch("time.time", self.time), modules[0], modules[1]:
            yield


class InlinePool:
    """Runs a job in the thread that submits it."""

    def submit(self, work: Callable[..., None], *arguments: Any) -> None:
        """Run it now."""
        work(*arguments)

    def shutdown(self, **_options: Any) -> None:
        """Nothing runs."""


class Login:
    """Every guest can be logged into at once."""

    def health(self, vm: str, port: str | None, reported: Health) -> Health:
        """As reported."""
        return reported

    def close(self) -> None:
        """Nothing waits."""


class Compute(FakeCompute):
    """A FakeCompute whose calls are moments."""

    def __init__(self, moments: Moments, changed: Callable[[], None]) -> None:
        super().__init__()
        self._moments, self._changed = moments, changed

    @contextmanager
    def _moment(self, name: str) -> Iterator[None]:
        self._moments.pass_by(f"host, before {name}")
        yield
        self._changed()
        self._moments.pass_by(f"host, after {name}")

    def start(self, spec: VmSpec, disks: Sequence[DiskFile], taps: Sequence[int]) -> None:
        with self._moment("start"):
            super().start(spec, disks, taps)

    def shutdown(self, vm: str) -> None:
        with self._moment("shutdown"):
            super().shutdown(vm)

    def kill(self, vm: str) -> None:
        with self._moment("kill"):
            super().kill(vm)

    def forget(self, vm: str) -> None:
        with self._moment("forget"):
            super().forget(vm)


class Storage(FakeStorage):
    """A FakeStorage whose calls are moments. `made`: every disk that was ever made, as often as it was.

    `full`: no disk can be made or grown.
    """

    def __init__(self, moments: Moments, changed: Callable[[], None]) -> None:
        super().__init__()
        self.made: list[str] = []
        self.full = False
        self._moments, self._changed = moments, changed

    def ensure(self, disk: DiskSpec) -> DiskObserved:
        self._moments.pass_by("host, before a disk")
        if self.full and disk.present and self._sizes.get(disk.id, 0) < disk.size_bytes:
            self.fail_next("ensure", "No space left on device")
        new = disk.present and disk.id not in self._sizes
        seen = super().ensure(disk)
        self.made += [disk.id] if new else []
        self._changed()
        self._moments.pass_by("host, after a disk")
        return seen


class Network(FakeNetwork):
    """A FakeNetwork whose calls are moments."""

    def __init__(self, moments: Moments, changed: Callable[[], None]) -> None:
        super().__init__(Path("/nonexistent"), Guests())
        self._moments, self._changed = moments, changed

    def apply(self, vnets: Sequence[VnetSpec]) -> None:
        self._moments.pass_by("host, before networks")
        super().apply(vnets)
        self._changed()
        self._moments.pass_by("host, after networks")


class Checkpoints(FakeCheckpoints):
    """FakeCheckpoints whose calls are moments."""

    def __init__(self, moments: Moments, changed: Callable[[], None], compute: Compute, storage: Storage) -> None:
        super().__init__(compute, storage)
        self._moments, self._changed = moments, changed

    def make(self, checkpoint: CheckpointSpec, vm: VmSpec | None) -> CheckpointObserved:
        self._moments.pass_by("host, before a checkpoint")
        seen = super().make(checkpoint, vm)
        self._changed()
        self._moments.pass_by("host, after a checkpoint")
        return seen

    def remove(self, checkpoint: str) -> None:
        self._moments.pass_by("host, before a checkpoint goes")
        super().remove(checkpoint)
        self._changed()
        self._moments.pass_by("host, after a checkpoint goes")

    def put_back(self, vm: VmSpec) -> None:
        self._moments.pass_by("host, before a restore")
        super().put_back(vm)
        self._moments.pass_by("host, after a restore")


class Host:
    """What survives its agent: machines, disks, networks, and what the guests said.

    `file`: where it is kept, if at all. `silent`: its reports are lost.
    """

    def __init__(self, moments: Moments, clock: Clock, file: Path | None = None) -> None:
        self._file, self._clock = file, clock
        self.guests, self.silent = Guests(), False
        self.compute = Compute(moments, self._keep)
        self.compute.platform = self.guests
        self.storage, self.network = Storage(moments, self._keep), Network(moments, self._keep)
        self.checkpoints = Checkpoints(moments, self._keep, self.compute, self.storage)
        if file is not None and file.exists():
            self._restore(pickle.loads(file.read_bytes()))

    def save(self, file: Path) -> None:
        """Write down everything that a host keeps by itself."""
        state = (
            (self.compute._machines, self.compute._serial),
            (self.storage._sizes, self.storage._images, self.storage.made),
            (self.storage._frozen, self.checkpoints._made),
            (self.network.applied[-1:], self.guests._health, self.guests._ports),
        )
        part = file.with_suffix(".part")
        part.write_bytes(pickle.dumps(state))
        part.rename(file)

    def _keep(self) -> None:
        if self._file is not None:
            self.save(self._file)

    def _restore(self, state: Any) -> None:
        (self.compute._machines, self.compute._serial), disks, frozen, networks = state
        self.storage._sizes, self.storage._images, self.storage.made = disks
        self.storage._frozen, self.checkpoints._made = frozen
        self.network.applied, self.guests._health, self.guests._ports = networks

    def agent(self, source: SpecSource) -> "SteppedAgent":
        """A new agent, as after a start of its process."""
        self.compute.close()
        return SteppedAgent(self, source, self._clock)


class SteppedAgent(Agent):
    """An agent that runs in its caller's thread."""

    def __init__(self, host: Host, source: SpecSource, clock: Clock) -> None:
        super().__init__(
            Deaf(host, source),
            host.compute,
            host.network,
            host.storage,
            host.checkpoints,
            guests=host.guests,
            capacity=FAKE_CAPACITY,
        )
        self._jobs = Jobs("stepped", self._wake.set, clock.monotonic)
        self._jobs._pool = InlinePool()  # type: ignore[assignment]
        self._checkpointing = Checkpointing(host.checkpoints, self._jobs)
        self._login = Login()  # type: ignore[assignment]

    def step(self) -> None:
        """Fetch the spec, converge until nothing is left to do at once, and report."""
        spec = self._source.desired(self._spec.revision if self._spec else 0, 0)
        if spec is not None:
            self._accept(spec)
        for _ in range(50):
            self._wake.clear()
            self._round()
            if not self._wake.is_set():
                return
        raise AssertionError("the agent never comes to rest")


class Deaf:
    """A way to the control plane on which reports may get lost."""

    def __init__(self, host: Host, source: SpecSource) -> None:
        self._host, self._source = host, source

    def desired(self, newer_than: int, timeout: float) -> Any:
        """What the control plane wants."""
        return self._source.desired(newer_than, timeout)

    def report(self, observed: Observed) -> None:
        """Goes through unless the host is silent."""
        if not self._host.silent:
            self._source.report(observed)
