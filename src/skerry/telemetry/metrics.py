"""What Prometheus reads at /metrics: counts and times, nothing of what tenants wrote.

Request and step are counted as they happen, with label children that are looked up once. What the store knows
(operations, guests, hosts) is asked of it at each scrape, by index, or kept from the last one.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, GCCollector, Histogram, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from skerry import __version__
from skerry.arm.access import Watched
from skerry.store import OperationRow, Store, UnitOfWork
from skerry.telemetry.hosts import HostTotals

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
_STEP_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1)
_OPERATION_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1200)
_METHODS = frozenset({"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"})


class Metrics:
    """The metrics of one control plane. `types`: the resource types by lower-case name."""

    def __init__(self, store: Store, types: Mapping[str, str]) -> None:
        self._types = types
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        Info("skerry_build", "This Skerry.", registry=self._registry).info(
            {"version": __version__, "python": platform.python_version()}
        )
        self._requests = self._histogram(
            "skerry_request_seconds", "HTTP requests.", ("method", "type", "code"), _REQUEST_BUCKETS
        )
        self._steps = self._histogram(
            "skerry_step_seconds", "Steps of operations, waiting left out.", ("kind", "step", "outcome"), _STEP_BUCKETS
        )
        self._operations = self._histogram(
            "skerry_operation_seconds", "Ended operations, waiting included.", ("kind", "result"), _OPERATION_BUCKETS
        )
        self._registry.register(_Stored(store))

    def _histogram(
        self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]
    ) -> Callable[..., Histogram]:
        """A histogram's child by its labels."""
        histogram = Histogram(name, text, labels, buckets=buckets, registry=self._registry)
        children: dict[tuple[str, ...], Histogram] = {}

        def child(*values: str) -> Histogram:
            found = children.get(values)
            if found is None:
                found = children[values] = histogram.labels(*values)
            return found

        return child

    def request(self, request: Watched) -> None:
        """A request was answered."""
        method = request.method if request.method in _METHODS else "other"
        code = f"{request.status // 100}xx" if request.status else "none"
        self._requests(method, self._type(request.path), code).observe(request.seconds)

    def _type(self, path: str) -> str:
        """The type of resource that a path is about, of a bounded number."""
        parts = path.lower().split("/")
        if parts[1] != "subscriptions":
            return {"adfs": "login", "healthz": "health", "metrics": "metrics"}.get(parts[1], "other")
        if len(parts) > 7 and parts[5] == "providers":
            name = f"{parts[6]}/{parts[7]}"
            child = f"{name}/{parts[9]}" if len(parts) > 9 else name
            return self._types.get(child) or self._types.get(name, "other")
        if len(parts) in (4, 5) and parts[3] == "resourcegroups":
            return "Microsoft.Resources/resourceGroups"
        if len(parts) > 5 and parts[3] == "providers":
            polled = len(parts) == 9 and parts[7] in ("operations", "operationresults")
            return "operations" if polled else self._types.get(f"{parts[4]}/{parts[5]}", "other")
        return "other"

    def step(self, kind: str, step: str, seconds: float, outcome: str) -> None:
        """A step ran."""
        self._steps(kind, step, outcome).observe(seconds)

    def ended(self, work: UnitOfWork, operation: OperationRow) -> None:
        """An operation ends in this transaction; it counts once that is durable."""
        child = self._operations(operation.kind, operation.status)
        seconds = max((operation.ended or operation.started) - operation.started, 0.0)
        work.after_commit.append(lambda: child.observe(seconds))

    def text(self) -> bytes:
        """All of them, in Prometheus' text format. Reads the database."""
        return generate_latest(self._registry)


class _Stored(Collector):
    """What the store knows."""

    def __init__(self, store: Store) -> None:
        self._store, self._hosts = store, HostTotals()

    def describe(self) -> list[Metric]:
        """Nothing: it would take a scrape to know."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Asked at each scrape."""
        now = time.time()
        with self._store.read() as work:
            yield _gauge("skerry_operations", "Operations in progress.", ("kind", "state"), work.operations.counts(now))
            yield _gauge("skerry_guests", "VMs by what their host last reported.", ("power",), work.hosts.powers())
            yield from self._hosts.metrics(work)
        commits = CounterMetricFamily("skerry_commits", "Commits of the database.")
        commits.add_metric((), self._store.commits)
        written = CounterMetricFamily("skerry_transactions", "Transactions that wrote; several may share a commit.")
        written.add_metric((), self._store.written)
        yield from (commits, written)
        yield _gauge("skerry_writers_waiting", "Writers that queue now.", (), {(): float(self._store.waiting)})


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
