"""From a VM's PUT to a finished `ssh … true`, against a QEMU started by hand with the same image and devices.

Ours begins with the PUT and includes disk, network and provisioning. By hand begins with QEMU's start: disk and seed
are made before. One guest at a time.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.bare_guest import Recipe, bare_guest, prepare
from bench.figures import Figures, ratio_row
from bench.guests import SSH, USER, Site, public_key, site
from bench.options import Options, need_root
from bench.processes import cpu_seconds, started
from bench.skerry import TooSlow, free_port, skerry, succeeded, until

AT_MOST = 1.05
LOGIN_SECONDS = 600
SSH_SECONDS = 120.0
PAUSE_SECONDS, HANG_SECONDS = 0.1, 1.0
GREETING = b"S"
GREETINGS = 5  # connections that are waited for at once

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Boot:
    """One guest's way to the login: seconds by the clock, CPU seconds of its QEMU. `again`: a second login alone."""

    login: float
    cpu: float
    again: float


@dataclass(frozen=True)
class Ours(Boot):
    """Seconds since the PUT was sent. `done`: provisioningState is Succeeded. `phases`: of a warm start, by name."""

    answered: float
    started: float
    ready: float
    done: float
    phases: Mapping[str, float]


def measure(options: Options) -> Figures:
    """`pairs` boots of each kind, in turns."""
    need_root()
    mine: list[Ours] = []
    theirs: list[Boot] = []
    with skerry("--accel", options.accel, image=True) as running:
        place = site(running)
        for number in range(options.pairs):
            boot, recipe = ours(place, f"guest{number}")
            mine.append(boot)
            theirs.append(by_hand(recipe, place.key))
            print(f"  pair {number + 1}: {told(mine[-1])}; by hand {told(theirs[-1])}", flush=True)
    rows = (
        ratio_row("`PUT` → login / QEMU by hand → login", logins(mine), logins(theirs), AT_MOST),
        ratio_row("QEMU's CPU time until the login, ours / by hand", [b.cpu for b in mine], [b.cpu for b in theirs]),
    )
    return Figures(rows, f"Pairs: {options.pairs}. {_shares(mine)}")


def logins(boots: Sequence[Boot]) -> list[float]:
    """Seconds to the login."""
    return [boot.login for boot in boots]


def told(boot: Boot) -> str:
    """For a line of progress."""
    return f"{boot.login:.1f} s (QEMU's CPU {boot.cpu:.1f} s)"


def ours(place: Site, name: str, tags: Mapping[str, str] | None = None) -> tuple[Ours, Recipe]:
    """Make a VM, log in, delete it; also how to start the same by hand."""
    try:
        return _ours(place, name, tags or {})
    finally:
        place.delete(name)


def _ours(place: Site, name: str, tags: Mapping[str, str]) -> tuple[Ours, Recipe]:
    client, path = place.skerry.client, place.path(name)
    sent, boottime, wall = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
    vm = place.put(name, tags)
    answered = time.monotonic() - sent
    log_in(place.address, 22, place.key)
    login = time.monotonic() - sent
    recipe = Recipe.of(place.skerry.state, vm)
    cpu = cpu_seconds(recipe.pid)
    until(lambda: succeeded(client, path), LOGIN_SECONDS, f"VM {name}")
    done = time.monotonic() - sent
    ready = (place.skerry.state / "vms" / vm / "health.json").stat().st_mtime - wall
    again = log_in(place.address, 22, place.key)
    # A warm start's phases are noted when all of it is done, which may be after the first login.
    recipe = Recipe.of(place.skerry.state, vm)
    return Ours(login, cpu, again, answered, started(recipe.pid) - boottime, ready, done, recipe.phases), recipe


def by_hand(recipe: Recipe, key: Path) -> Boot:
    """Start a QEMU as the recipe says, log in, end it."""
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as name:
        port = free_port()
        words = prepare(recipe, Path(name), public_key(key), USER, port)
        return booted(words, port, recipe, key)


def booted(words: Sequence[str], port: int, recipe: Recipe, key: Path) -> Boot:
    """Start that QEMU, whose guest's SSH is at `port`, log in, end it. It gets the limits of the recipe's VM."""
    began = time.monotonic()
    with bare_guest(words, recipe) as guest:
        log_in("127.0.0.1", port, key, guest.check)
        login, cpu = time.monotonic() - began, cpu_seconds(guest.pid)
        return Boot(login, cpu, log_in("127.0.0.1", port, key, guest.check))


def log_in(address: str, port: int, key: Path, check: Callable[[], None] = lambda: None) -> float:
    """Until plain ssh has run `true` there; `check` raises when that won't happen any more. How long it took."""
    began = time.monotonic()
    asyncio.run(_logged_in(address, port, key, check))
    return time.monotonic() - began


async def _logged_in(address: str, port: int, key: Path, check: Callable[[], None]) -> None:
    """ssh goes on with the connection that the server greeted on: another one would cost the guest another process."""
    greeted = await _greeted(address, port, check)
    if not await _ssh_through(greeted, key):
        await logged_in_plainly(address, port, key, check)


async def logged_in_plainly(address: str, port: int, key: Path, check: Callable[[], None] = lambda: None) -> None:
    """As `log_in`, by one ssh after the other."""
    end = time.monotonic() + LOGIN_SECONDS
    while not await _ssh(address, port, key):
        check()
        if time.monotonic() > end:
            raise TooSlow(f"no login at {address}:{port} within {LOGIN_SECONDS} s")
        await asyncio.sleep(PAUSE_SECONDS)


async def _ssh(address: str, port: int, key: Path) -> bool:
    """Whether plain ssh has run `true` there."""
    words = [*SSH, "-i", str(key), "-p", str(port), f"{USER}@{address}", "true"]
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*words, stdin=nothing, stdout=nothing, stderr=nothing)
    try:
        return await asyncio.wait_for(process.wait(), SSH_SECONDS) == 0
    except TimeoutError:
        process.kill()
        return False


async def _ssh_through(greeted: Connection, key: Path) -> bool:
    """As `_ssh`, by a connection whose first byte was read."""
    reader, writer = greeted

    async def relay(ours: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        back.write(GREETING)
        await asyncio.gather(_pump(ours, writer), _pump(reader, back))

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        return await _ssh("127.0.0.1", server.sockets[0].getsockname()[1], key)
    finally:
        server.close()
        writer.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
        target.close()


async def _greeted(address: str, port: int, check: Callable[[], None]) -> Connection:
    """The connection on which an SSH server greets first.

    A refused connection is tried again after PAUSE_SECONDS. One that hangs is kept for a while and another begun
    beside it, after HANG_SECONDS at first: whether it hangs in the forwarding or in a slow server can't be told from
    here, and a booting guest that gets a connection every PAUSE_SECONDS only boots slower. The longer it takes, the
    slower the machine must be, and the more patient this is: each connection costs the guest a process.
    """
    began, pending = time.monotonic(), set[asyncio.Task[Connection | None]]()
    while (waited := time.monotonic() - began) < LOGIN_SECONDS:
        check()
        patience = max(HANG_SECONDS, waited / 20)
        pending.add(asyncio.create_task(_greets(address, port, GREETINGS * patience)))
        done, pending = await asyncio.wait(pending, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if (found := task.result()) is not None:
                return found  # asyncio.run cancels the others
        await asyncio.sleep(PAUSE_SECONDS if done else 0)
    raise TooSlow(f"no SSH server at {address}:{port} within {LOGIN_SECONDS} s")


async def _greets(address: str, port: int, seconds: float) -> Connection | None:
    """A connection whose greeting began within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                if await reader.read(1) == GREETING:
                    return reader, writer
            except BaseException:
                writer.close()
                raise
            writer.close()
    except (OSError, TimeoutError):
        pass
    return None


def _shares(ours: Sequence[Ours]) -> str:
    """Where our time goes, as shares of the time to the login."""

    def share(seconds: Sequence[float]) -> str:
        return f"{100 * median(part / boot.login for part, boot in zip(seconds, ours, strict=True)):.1f} %"

    reached = {
        "the `PUT` is answered": [boot.answered for boot in ours],
        "QEMU runs": [boot.started for boot in ours],
        "the guest has reported Ready": [boot.ready for boot in ours],
        "`provisioningState` is Succeeded": [boot.done for boot in ours],
    }
    parts = ", ".join(f"{what} at {share(seconds)}" for what, seconds in reached.items())
    return f"Of our time to the login (medians): {parts}."
