"""Many clones on one machine: how quickly they come when they are asked for at once, and what they cost when they idle.

The size is the smallest that Azure has, Standard_B1ls (one vCPU, 0.5 GiB). There are as many, up to MOST, as have room
if each takes TAKEN. Skerry promises them more memory and CPUs than there are.
"""

import asyncio
import os
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.cold_start import LOGIN_SECONDS, log_in, logged_in_plainly
from bench.figures import Figures, Row, amount_row, percentiles_row
from bench.guests import Site, sites
from bench.options import Options, need_root
from bench.processes import cpu_seconds, memory
from bench.skerry import Skerry, connect, skerry, succeeded, until
from bench.warm_start import FAILURES, OFF, TEMPLATE_SECONDS, has_template, standing_by
from skerry.host.capacity import GIB
from skerry.host.capacity import measure as capacity
from skerry.host.compute.qemu.process import find_qemu

SIZE, BYTES = "Standard_B1ls", 1 << 29
STANDBY = 2
MOST, AT_ONCE = int(os.environ.get("BENCH_CLONES", "100")), 20
TAKEN = 192 << 20
SETTLE_SECONDS, IDLE_SECONDS = 90, 60
ASKED = 10
MIB = 1 << 20


@dataclass(frozen=True)
class Burst:
    """VMs asked for at once: `ready` of them could be logged into after `seconds`."""

    ready: int
    seconds: float


def measure(options: Options) -> Figures:
    """Once: a burst, then others until there are as many as there is room for."""
    need_root()
    room = min(MOST, capacity("tcg").memory_bytes // TAKEN)
    promised = ("--cpus", str(room), "--memory", str(room * BYTES / GIB))
    with skerry("--accel", options.accel, "--warm", "on", "--standby", str(STANDBY), *promised, image=True) as running:
        places = sites(running, room, SIZE)
        cold = _cold(running, places[0])
        until(lambda: has_template(running), TEMPLATE_SECONDS, "a template")
        until(lambda: standing_by(running, STANDBY), TEMPLATE_SECONDS, "machines that stand by")
        standing = [
            memory(found.pid).pss for path in (running.state / "standby").iterdir() if (found := find_qemu(path.name))
        ]
        bursts = [_burst(places[start : start + AT_ONCE]) for start in range(0, len(places), AT_ONCE)]
        time.sleep(SETTLE_SECONDS)
        rows = (
            *_at_once(bursts[0], len(places[:AT_ONCE])),
            amount_row("PSS of the QEMU of one that booted, just ready", [cold / MIB], "MiB", digits=0),
            amount_row("PSS of one that stands by", [size / MIB for size in standing], "MiB", digits=0),
            *_idle(running, places, sum(burst.ready for burst in bursts)),
        )
    return Figures(rows, f"{len(places)} VMs of {SIZE}. {_settled()}")


def _settled() -> str:
    return f"Idle: {SETTLE_SECONDS} s after the last one came, for {IDLE_SECONDS} s."


def _cold(running: Skerry, place: Site) -> int:
    """Boot one, from which the template is learnt; the PSS of its QEMU, in bytes."""
    path = place.create("first", OFF)
    vm = running.client.get(path)["properties"]["vmId"]
    held = memory(_pid(running.state, vm)).pss
    place.delete("first")
    place.create("second")
    place.delete("second")
    return held


def _burst(places: Sequence[Site]) -> Burst:
    """One VM for each place, all asked for before the first is waited for.

    As users do it, ssh is tried once a VM is ready: looking for a server takes time of guests that have little.
    """
    began = time.monotonic()
    for place in places:
        place.put(_name(place))
    with ThreadPoolExecutor(len(places)) as threads:
        reached = list(threads.map(_reached, places))
    return Burst(sum(reached), time.monotonic() - began)


def _name(place: Site) -> str:
    return place.nic.rpartition("/")[2]


def _reached(place: Site) -> bool:
    try:
        path, client = place.path(_name(place)), connect(place.skerry.folder).client
        until(lambda: succeeded(client, path), LOGIN_SECONDS, path, pause=0.5)
        asyncio.run(logged_in_plainly(place.address, 22, place.key))
    except FAILURES as failure:
        print(f"  {_name(place)} failed: {failure}", flush=True)
        return False
    return True


def _at_once(burst: Burst, asked: int) -> list[Row]:
    return [
        Row(f"{asked} VMs at once: those that could be logged into", f"{burst.ready}"),
        amount_row("from the first `PUT` to the last login", [burst.seconds], "s", digits=1),
        amount_row("usable VMs per second", [burst.ready / burst.seconds], "/s"),
    ]


def _idle(running: Skerry, places: Sequence[Site], count: int) -> list[Row]:
    pids = [pid for folder in (running.state / "vms").glob("[!.]*") if (pid := _pid(running.state, folder.name))]
    held = [memory(pid).pss for pid in pids]
    before = sum(map(cpu_seconds, pids))
    time.sleep(IDLE_SECONDS)
    used = (sum(map(cpu_seconds, pids)) - before) / IDLE_SECONDS
    asked = random.sample(list(places), min(ASKED, len(places)))
    answers = [log_in(place.address, 22, place.key) for place in asked]
    return [
        amount_row(f"PSS of a clone's, {count} idle", [size / MIB for size in held], "MiB", digits=0),
        amount_row(f"PSS of all {count}", [sum(held) / MIB], "MiB", digits=0),
        amount_row(f"CPU of all {count}", [100 * used], "% of one CPU", digits=1),
        percentiles_row(f"`ssh true` to {len(asked)} of them at random, p50 / p95", answers, "s"),
    ]


def _pid(state: Path, vm: str) -> int:
    """Of the QEMU of that VM, 0 if it has none."""
    return int(orjson.loads((state / "vms" / vm / "argv.json").read_bytes())["pid"])
