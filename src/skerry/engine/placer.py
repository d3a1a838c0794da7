"""The hosts of the whole installation, ready to choose from in the transaction that places a VM.

The index is read once; then each choice takes in the hosts that have changed since, the transaction's own changes
included. What a transaction changed may be taken back: hosts are remembered as they were until the change is seen from
outside.
"""

import time
from collections.abc import Mapping, Sequence

from msgspec import json
from msgspec.structs import replace

from skerry.hostspec import HostCapacity, VmSpec
from skerry.placement import Choice, HostState, Index, Request, explain
from skerry.placement.index import FEW
from skerry.store import HostRow, Store, UnitOfWork

SETTLE_AFTER = 24  # changed hosts; until then they are read again for each choice
LISTEN_SECONDS = 1.0  # between two looks at which hosts report no more


class Placer:
    """One per engine, used by its thread only."""

    def __init__(self, store: Store) -> None:
        self._store, self._index = store, Index()
        self._settled = 0  # every change up to this sequence number is durable, and in the index
        self._before: dict[str, HostState | None] = {}  # by host, of changes after that
        self._rows: dict[str, HostRow] = {}  # these changes, as the index has them
        self._silent: Mapping[str, float] = {}  # the hosts that report no more, as the index has them
        self._listened = 0.0

    def choose(self, work: UnitOfWork, request: Request) -> Choice:
        """A host for a VM that has none. The caller stores it in the same transaction."""
        self._refresh(work)
        return self._index.choose(request)

    def fits(self, work: UnitOfWork, request: Request, vm: str) -> Choice:
        """Whether a VM fits on its host in another size; what it takes there now doesn't count."""
        assert request.host is not None
        self._refresh(work)
        host, now = self._index.get(request.host), work.hosts.get(request.host, VmSpec, vm)
        if host is not None and now is not None:
            used = host.used_vcpus - now.vcpus, host.used_memory_bytes - now.memory_bytes
            host = replace(host, used_vcpus=used[0], used_memory_bytes=used[1])
        choice = explain(request, [host] if host else [], FEW)
        return choice if choice.rejected or host is None else Choice(request.host, choice.hosts)

    def _refresh(self, work: UnitOfWork) -> None:
        self._listen(work)
        rows = work.hosts.changed_after(self._settled)
        for host in self._before.keys() - {row.id for row in rows}:  # taken back
            self._put(host, self._before.pop(host))
            del self._rows[host]
        for row in rows:
            if self._rows.get(row.id) != row:
                self._before.setdefault(row.id, self._index.get(row.id))
                self._rows[row.id] = row
                self._put(row.id, _state(row))
        if len(rows) > SETTLE_AFTER:
            self._settle(rows)

    def _listen(self, work: UnitOfWork) -> None:
        """Take in which hosts fell silent, and which report again."""
        now = time.time()
        if abs(now - self._listened) < LISTEN_SECONDS:
            return
        before, self._silent, self._listened = self._silent, work.hosts.silent(now), now
        for host in before.keys() ^ self._silent.keys():
            self._put(host, self._index.get(host))

    def _settle(self, rows: Sequence[HostRow]) -> None:
        """Ask another transaction, which sees only what is durable, how far that reaches."""
        with self._store.read() as work:
            self._settled = work.hosts.newest()
        self._rows = {row.id: row for row in rows if row.sequence > self._settled}
        self._before = {host: self._before[host] for host in self._rows}

    def _put(self, host: str, state: HostState | None) -> None:
        if state is None:
            self._index.remove(host)
            return
        since = self._silent.get(host)
        self._index.put(state if state.silent_since == since else replace(state, silent_since=since))


def _state(row: HostRow) -> HostState | None:
    """A host for the index; None while it has not said what it can give."""
    if row.capacity is None:
        return None
    capacity = json.decode(row.capacity, type=HostCapacity)
    return HostState(
        id=row.id,
        cpus=capacity.cpus,
        memory_bytes=capacity.memory_bytes,
        used_vcpus=row.used_vcpus,
        used_memory_bytes=row.used_memory,
        architecture=capacity.architecture,
        zone=capacity.zone,
        fault_domain=capacity.fault_domain,
        taints=frozenset(capacity.taints),
    )
