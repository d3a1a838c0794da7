"""The control plane's end of a fleet of simulated hosts: what changed, from and to many of them at once."""

import threading
import time
from collections.abc import Mapping, Sequence
from itertools import islice

from msgspec import json

from skerry.hostspec import CheckpointSpec, DiskObserved, DiskSpec, HostCapacity, ImageObserved, VmObserved, VmSpec
from skerry.hostspec.client import ImagineCheckpoint, ImagineDisk, ImagineVm
from skerry.store import Store, UnitOfWork
from skerry.store.fleet import Change, FleetHosts, Seen

FIRST, LAST = "sim-", "sim-~"  # the ids of simulated hosts lie between these
HOSTS = 200  # that report in one transaction
ENROLLED = 500  # in one transaction
HEARTBEAT_SECONDS = 10.0


class FleetLink:
    """A FleetSource on the store. `notify` is to be called when any spec has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = threading.Event()
        self._seen = float("-inf")

    def notify(self) -> None:
        """A spec may have a new revision."""
        self._changed.set()

    def close(self) -> None:
        """Let nobody wait any longer."""
        self.notify()

    def wait(self, timeout: float) -> None:
        """Until a spec may have changed, or `timeout` seconds."""
        self._changed.wait(timeout)

    def enrol(self, hosts: Mapping[str, HostCapacity], images: Sequence[ImageObserved]) -> None:
        """Make the hosts known, each with these images. Safe to repeat; hosts of a larger fleet take no VM any more."""
        rest = iter(hosts.items())
        while part := dict(islice(rest, ENROLLED)):
            with self._store.write() as work:
                _hosts(work).enrol(part, images)
        with self._store.write() as work:
            _hosts(work).retire(max(hosts))
            work.hosts.retire_others(FIRST, LAST)
        self._heartbeat()

    def converge(self, vm: ImagineVm, disk: ImagineDisk, checkpoint: ImagineCheckpoint) -> int:
        """Let hosts whose specs have changed apply and report them, in one transaction. Returns how many did."""
        self._changed.clear()
        self._heartbeat()
        with self._store.read() as work:
            if not _hosts(work).behind(1):
                return 0
        with self._store.write() as work:
            return _converge(work, vm, disk, checkpoint)

    def _heartbeat(self) -> None:
        if time.monotonic() - self._seen > HEARTBEAT_SECONDS:
            self._seen = time.monotonic()
            with self._store.write() as work:
                _hosts(work).heartbeat(time.time())


def _hosts(work: UnitOfWork) -> FleetHosts:
    return FleetHosts(work.session, FIRST, LAST)


def _converge(work: UnitOfWork, vm: ImagineVm, disk: ImagineDisk, checkpoint: ImagineCheckpoint) -> int:
    fleet = _hosts(work)
    behind = fleet.behind(HOSTS)
    names = [host.host for host in behind]
    for host, identifier in fleet.gone(names):
        fleet.forget(host, "vm", identifier)
    for change in fleet.changes(names):
        if change.kind == "vm":
            _report_vm(fleet, change, vm)
        elif change.kind == "disk":
            _report_disk(fleet, change, disk)
        else:
            now = checkpoint(json.decode(change.spec, type=CheckpointSpec))
            _report(fleet, change, now)
    fleet.applied(behind, time.time())
    work.operations.wake_hosts(names)
    return len(behind)


def _report_vm(fleet: FleetHosts, change: Change, imagine: ImagineVm) -> None:
    seen = json.decode(change.seen, type=VmObserved) if change.seen else None
    _report(fleet, change, imagine(json.decode(change.spec, type=VmSpec), seen))


def _report_disk(fleet: FleetHosts, change: Change, imagine: ImagineDisk) -> None:
    seen = json.decode(change.seen, type=DiskObserved) if change.seen else None
    _report(fleet, change, imagine(json.decode(change.spec, type=DiskSpec), seen))


def _report(fleet: FleetHosts, change: Change, now: Seen | None) -> None:
    if now is None:
        fleet.forget(change.host, change.kind, change.id)
    elif json.encode(now) != change.seen:
        fleet.observe(change.host, change.kind, now)
