"""All hosts, kept so that one can be chosen among a hundred thousand in some microseconds.

Hosts alike in all labels (architecture, zone, fault domain, taints, whether they report) share a bucket. In a bucket
a tree over the numbers of free vCPUs knows for each range the host with most free memory: the best one with at least n
vCPUs is found in O(log) steps. Spreading is by free memory: a VM goes to the host that has most, of equals to the first
by id.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from skerry.placement.request import SILENT, Choice, HostState, Request, explain, reasons

LEAVES = 256  # of a bucket's tree: free vCPUs, more are all the same. No size has as many.
FEW = 32  # hosts of a fleet in which each that is turned down is named

Item = tuple[int, str]  # (minus free memory, id): the least is the best
Labels = tuple[str, str, int, frozenset[str], bool]
_NONE: Item = (1, "")
_LESS = "has less memory free than the chosen host"


class Index:
    """`put` a host whenever anything of it changes."""

    def __init__(self) -> None:
        self._hosts: dict[str, HostState] = {}
        self._buckets: dict[Labels, _Bucket] = {}
        self._fitting: dict[tuple[object, ...], list[_Bucket]] = {}

    def __len__(self) -> int:
        return len(self._hosts)

    def get(self, host: str) -> HostState | None:
        """The host as it was put last."""
        return self._hosts.get(host)

    def put(self, host: HostState) -> None:
        """Take in a host, new or changed."""
        old = self._hosts.get(host.id)
        if old is not None and _labels(old) != _labels(host):
            self._bucket(old).remove(host.id)
        self._hosts[host.id] = host
        self._bucket(host).put(host.id, host.free_vcpus, host.free_memory_bytes)

    def remove(self, host: str) -> None:
        """Choose this host no more."""
        old = self._hosts.pop(host, None)
        if old is not None:
            self._bucket(old).remove(host)

    def find(self, request: Request) -> str | None:
        """The host with most free memory of those that fit; of equals the first by id."""
        assert request.vcpus < LEAVES
        if request.host is not None:
            pinned = self._hosts.get(request.host)
            return request.host if pinned and not next(reasons(request, pinned), None) else None
        best = _NONE
        for bucket in self._buckets_for(request):
            if bucket.tree[1] < best:
                best = min(best, bucket.best(request.vcpus))
        return best[1] if -best[0] >= request.memory_bytes and best is not _NONE else None

    def choose(self, request: Request) -> Choice:
        """As `find`, with why the other hosts were turned down."""
        host = self.find(request)
        if host is not None and len(self._hosts) > FEW:
            return Choice(host, len(self._hosts), self._counts(request))
        found = explain(request, self._hosts.values(), FEW)
        if host is None:
            return found
        rejected = {other: found.rejected.get(other, _LESS) for other in self._hosts if other != host}
        less = len(rejected) - len(found.rejected)
        return Choice(host, found.hosts, {**found.counts, **({_LESS: less} if less else {})}, rejected)

    def _counts(self, request: Request) -> dict[str, int]:
        """How many hosts have the wrong labels, and how many the right ones; cheap in a large fleet."""
        fitting = self._buckets_for(request)
        right = sum(len(bucket) for bucket in fitting) - 1
        silent = sum(len(bucket) for labels, bucket in self._buckets.items() if labels[-1])
        wrong = len(self._hosts) - right - silent - 1
        short = {
            SILENT: silent,
            "is in another zone, fault domain or of another kind": wrong,
            "has less memory free, or no room": right,
        }
        return {reason: count for reason, count in short.items() if count}

    def _bucket(self, host: HostState) -> "_Bucket":
        labels = _labels(host)
        bucket = self._buckets.get(labels)
        if bucket is None:
            bucket = self._buckets[labels] = _Bucket()
            self._fitting.clear()
        return bucket

    def _buckets_for(self, request: Request) -> "list[_Bucket]":
        asked = (request.architecture, request.zone, request.fault_domain, request.tolerations)
        found = self._fitting.get(asked)
        if found is None:
            found = self._fitting[asked] = list(self._matching(request))
        return found

    def _matching(self, request: Request) -> "Iterator[_Bucket]":
        for (architecture, zone, fault_domain, taints, silent), bucket in self._buckets.items():
            here = not silent and (request.zone is None or zone in ("", request.zone))
            here = here and request.fault_domain in (None, fault_domain)
            if here and architecture == request.architecture and taints <= request.tolerations:
                yield bucket


class _Bucket:
    """Hosts with the same labels.

    A leaf of the tree is a heap of the hosts with so many free vCPUs; entries of hosts that have changed since stay in
    it until they come to its top. `tree[1]` is the root, the children of n are 2n and 2n + 1.
    """

    __slots__ = ("_heaps", "_items", "_live", "tree")

    def __init__(self) -> None:
        self.tree: list[Item] = [_NONE] * (2 * LEAVES)
        self._heaps: list[list[Item]] = [[] for _ in range(LEAVES)]
        self._live = [0] * LEAVES
        self._items: dict[str, tuple[int, Item]] = {}  # by host: its leaf and entry

    def __len__(self) -> int:
        return len(self._items)

    def put(self, host: str, vcpus: int, memory: int) -> None:
        """Take in a host, new or changed."""
        leaf, item = min(vcpus, LEAVES - 1), (-memory, host)
        old = self._items.get(host)
        self._items[host] = (leaf, item)
        self._live[leaf] += 1
        heappush(self._heaps[leaf], item)
        if old is not None:
            self._live[old[0]] -= 1
            if old[0] != leaf:
                self._refresh(old[0])
        self._refresh(leaf)

    def remove(self, host: str) -> None:
        """Choose this host no more."""
        leaf, _ = self._items.pop(host)
        self._live[leaf] -= 1
        self._refresh(leaf)

    def best(self, vcpus: int) -> Item:
        """The host with most memory of those with at least so many vCPUs."""
        root = self.tree[1]
        if root is _NONE or self._items[root[1]][0] >= vcpus:
            return root
        node = vcpus + LEAVES
        best = self.tree[node]
        while node > 1:
            if not node & 1:
                best = min(best, self.tree[node + 1])
            node >>= 1
        return best

    def _refresh(self, leaf: int) -> None:
        """Bring the tree up to date with a leaf."""
        node, tree = leaf + LEAVES, self.tree
        tree[node] = self._top(leaf)
        while node > 1:
            node >>= 1
            left, right = tree[2 * node], tree[2 * node + 1]
            best = left if left <= right else right
            if tree[node] is best:
                return
            tree[node] = best

    def _top(self, leaf: int) -> Item:
        heap, items = self._heaps[leaf], self._items
        if len(heap) > 4 * self._live[leaf] + 16:
            heap[:] = {item for item in heap if items.get(item[1]) == (leaf, item)}
            heapify(heap)
        while heap and items.get(heap[0][1]) != (leaf, heap[0]):
            heappop(heap)
        return heap[0] if heap else _NONE


def _labels(host: HostState) -> Labels:
    return host.architecture, host.zone, host.fault_domain, host.taints, host.silent_since is not None
