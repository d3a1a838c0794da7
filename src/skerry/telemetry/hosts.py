"""What all hosts can give and what is used of it, kept from one scrape to the next."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from skerry.hostspec import HostCapacity
from skerry.store import HostRow, UnitOfWork

HOSTS_NAMED = 20  # with more, a series for each would cost more than it tells


@dataclass(frozen=True)
class _Host:
    cpus: float = 0
    memory: float = 0
    used_vcpus: float = 0
    used_memory: float = 0


_TEXTS = {
    "cpus": ("skerry_host_cpus", "Logical CPUs of the hosts."),
    "memory": ("skerry_host_memory_bytes", "Memory that the hosts can give."),
    "used_vcpus": ("skerry_host_used_vcpus", "vCPUs of the VMs that are placed."),
    "used_memory": ("skerry_host_used_memory_bytes", "Memory of the VMs that are placed."),
}


class HostTotals:
    """Takes in the hosts that changed since it was last asked: the rest need not be read again."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}
        self._totals = dict.fromkeys(_TEXTS, 0.0)
        self._sequence = 0

    def metrics(self, work: UnitOfWork) -> Iterator[Metric]:
        """The gauges: one for each host where there are few, else one for all."""
        for row in work.hosts.changed_after(self._sequence):
            self._take(row)
        named = len(self._hosts) <= HOSTS_NAMED
        for field, (name, text) in _TEXTS.items():
            family = GaugeMetricFamily(name, text, labels=("host",))
            values = {host: getattr(found, field) for host, found in self._hosts.items()} if named else {}
            for host, value in (values or {"": self._totals[field]}).items():
                family.add_metric((host,), value)
            yield family
        silent = work.hosts.count_silent(time.time())
        family = GaugeMetricFamily("skerry_hosts", "Hosts; silent ones report no more.", labels=("state",))
        family.add_metric(("reporting",), len(self._hosts) - silent)
        family.add_metric(("silent",), silent)
        yield family

    def _take(self, row: HostRow) -> None:
        before, after = self._hosts.get(row.id, _Host()), _host(row)
        for field in self._totals:
            self._totals[field] += getattr(after, field) - getattr(before, field)
        self._hosts[row.id] = after
        self._sequence = row.sequence


def _host(row: HostRow) -> _Host:
    if row.capacity is None:
        return _Host(0, 0, row.used_vcpus, row.used_memory)
    capacity = msgspec.json.decode(row.capacity, type=HostCapacity)
    return _Host(capacity.cpus, capacity.memory_bytes, row.used_vcpus, row.used_memory)
