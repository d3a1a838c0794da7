"""From a VM's PUT to a finished `ssh … true`, against a QEMU started by hand with the same image and devices.

Ours begins with the PUT and includes disk, network and provisioning. By hand begins with QEMU's start: disk and seed
are made before. One guest at a time.
"""

import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.bare_guest import Recipe, bare_guest, prepare
from bench.figures import Figures, ratio_row
from bench.guests import SSH, USER, Site, public_key, site
from bench.options import Options, need_root
from bench.processes import started
from bench.skerry import TooSlow, free_port, skerry, succeeded, until

AT_MOST = 1.10
LOGIN_SECONDS = 600
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Phases:
    """Seconds since our PUT was sent. `done`: provisioningState is Succeeded."""

    answered: float
    started: float
    ready: float
    login: float
    done: float


def measure(options: Options) -> Figures:
    """`pairs` boots of each kind, in turns."""
    need_root()
    ours: list[Phases] = []
    theirs: list[float] = []
    with skerry("--accel", options.accel, image=True) as running:
        place = site(running)
        for number in range(options.pairs):
            phases, recipe = _ours(place, f"guest{number}")
            ours.append(phases)
            theirs.append(_by_hand(recipe, place.key))
            print(f"  pair {number + 1}: PUT → login {phases.login:.1f} s, by hand {theirs[-1]:.1f} s", flush=True)
    row = ratio_row("`PUT` → login / QEMU by hand → login", [phases.login for phases in ours], theirs, AT_MOST)
    return Figures((row,), f"{options.pairs} pairs. {_shares(ours)}")


def _ours(place: Site, name: str) -> tuple[Phases, Recipe]:
    client, path, body = place.skerry.client, place.path(name), place.body(name)
    sent, boottime, wall = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
    vm = client.change("PUT", path, body, wait=False)["properties"]["vmId"]
    answered = time.monotonic() - sent
    _log_in(place.address, 22, place.key)
    login = time.monotonic() - sent
    until(lambda: succeeded(client, path), LOGIN_SECONDS, f"VM {name}")
    done = time.monotonic() - sent
    folder = place.skerry.state / "vms" / vm
    ready = (folder / "health.json").stat().st_mtime - wall
    recipe = Recipe.of(place.skerry.state, vm)
    phases = Phases(answered, started(recipe.pid) - boottime, ready, login, done)
    place.delete(name)
    return phases, recipe


def _by_hand(recipe: Recipe, key: Path) -> float:
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as name:
        port = free_port()
        words = prepare(recipe, Path(name), public_key(key), USER, port)
        began = time.monotonic()
        with bare_guest(words):
            _log_in("127.0.0.1", port, key)
            return time.monotonic() - began


def _log_in(address: str, port: int, key: Path) -> None:
    """Until plain ssh has run `true` there."""
    words = [*SSH, "-i", str(key), "-p", str(port), f"{USER}@{address}", "true"]
    end = time.monotonic() + LOGIN_SECONDS
    while subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False).returncode:
        if time.monotonic() > end:
            raise TooSlow(f"no login at {address}:{port} within {LOGIN_SECONDS} s")
        time.sleep(PAUSE_SECONDS)


def _shares(ours: Sequence[Phases]) -> str:
    """Where our time goes, as shares of the time to the login."""

    def share(seconds: Sequence[float]) -> str:
        return f"{100 * median(part / phases.login for part, phases in zip(seconds, ours, strict=True)):.1f} %"

    reached = {
        "the `PUT` is answered": [phases.answered for phases in ours],
        "QEMU runs": [phases.started for phases in ours],
        "the guest has reported Ready": [phases.ready for phases in ours],
        "`provisioningState` is Succeeded": [phases.done for phases in ours],
    }
    parts = ", ".join(f"{what} at {share(seconds)}" for what, seconds in reached.items())
    return f"Of our time to the login (medians): {parts}."
