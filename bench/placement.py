"""How fast a host is chosen among 100,000, with sizes and labels of all kinds, while the fleet fills and empties."""

import random
import time
from collections.abc import Iterator
from statistics import quantiles

from msgspec.structs import replace

from bench.figures import Figures, Row
from bench.options import Options
from skerry.placement import HostState, Index, Request

HOSTS = 100_000
CHOICES = 100_000
GOAL_RATE, GOAL_MS = 20_000, 1.0
GIB = 1 << 30
SIZES = ((1, 1), (1, 2), (2, 4), (2, 8), (4, 16), (8, 32), (16, 64), (32, 64))


def measure(options: Options) -> Figures:  # noqa: ARG001
    """Choices with what taking the room costs; giving it back is not timed."""
    dice = random.Random(1)
    index = Index()
    for host in _hosts(dice):
        index.put(host)
    took, found = _choose(index, dice)
    rate, p99 = len(took) / sum(took), quantiles(took, n=100)[98] * 1e3
    rows = (
        Row("choices, each with taking the room", f"{rate:,.0f} /s", f"≥ {GOAL_RATE:,} /s", rate >= GOAL_RATE),
        Row("the time of one, p99", f"{p99:.3f} ms", f"≤ {GOAL_MS:g} ms", p99 <= GOAL_MS),
    )
    note = (
        f"{HOSTS:,} hosts of two architectures, three zones, five fault domains and three sets of taints; {CHOICES:,} "
        f"requests by size, architecture, zone, fault domain and tolerations, of which {found:,} found a host. CPU "
        "time of one thread."
    )
    return Figures(rows, note)


def _hosts(dice: random.Random) -> Iterator[HostState]:
    for number in range(HOSTS):
        yield HostState(
            id=f"h{number:06}",
            cpus=dice.choice((16, 32, 64)),
            memory_bytes=dice.choice((64, 128, 256)) * GIB,
            architecture=dice.choice(("x64", "x64", "Arm64")),
            zone=str(number % 3 + 1),
            fault_domain=number % 5,
            taints=frozenset(dice.choice(((), (), (), ("gpu",), ("gpu", "licensed")))),
        )


def _requests(dice: random.Random) -> Iterator[Request]:
    for _ in range(CHOICES):
        vcpus, gib = dice.choice(SIZES)
        yield Request(
            vcpus=vcpus,
            memory_bytes=gib * GIB,
            architecture=dice.choice(("x64", "x64", "Arm64")),
            zone=dice.choice((None, "1", "2", "3")),
            fault_domain=dice.choice((None, None, 0, 1, 2, 3, 4)),
            tolerations=frozenset(dice.choice(((), (), ("gpu",)))),
        )


def _choose(index: Index, dice: random.Random) -> tuple[list[float], int]:
    """The seconds of each choice, and how many found a host. Every second one is given back."""
    took, placed, found = [], list[tuple[str, Request]](), 0
    for number, request in enumerate(list(_requests(dice))):
        began = time.thread_time()
        host = index.find(request)
        if host is not None:
            _take(index, host, request.vcpus, request.memory_bytes)
        took.append(time.thread_time() - began)
        if host is not None:
            found += 1
            placed.append((host, request))
        if number % 2 and placed:
            other, taken = placed.pop(dice.randrange(len(placed)))
            _take(index, other, -taken.vcpus, -taken.memory_bytes)
    return took, found


def _take(index: Index, name: str, vcpus: int, memory: int) -> None:
    host = index.get(name)
    assert host is not None
    used = {"used_vcpus": host.used_vcpus + vcpus, "used_memory_bytes": host.used_memory_bytes + memory}
    index.put(replace(host, **used))
