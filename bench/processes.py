"""What processes cost: CPU time and memory as the kernel counts them, and commands run to their end."""

import os
import resource
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class CommandFailed(Exception):
    """A command that a benchmark runs ended badly or too late; says what it printed."""


@dataclass(frozen=True)
class Cost:
    """Of one command: `seconds` by the clock, `cpu` seconds of it and of what it waited for."""

    seconds: float
    cpu: float
    output: str


@dataclass(frozen=True)
class Memory:
    """In bytes. `rss` counts shared pages whole, `pss` divided among those who share them."""

    rss: int
    pss: int


def run(
    argv: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, timeout: float, check: bool = True
) -> Cost:
    """Run a command to its end. Raises CommandFailed for another exit status than 0 unless `check` is off."""
    words = [str(word) for word in argv]
    cpu, began = _children_cpu(), time.monotonic()
    try:
        done = subprocess.run(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{' '.join(words)} took more than {timeout:.0f} s and was ended") from error
    cost = Cost(time.monotonic() - began, _children_cpu() - cpu, done.stdout)
    if check and done.returncode:
        raise CommandFailed(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return cost


def cpu_seconds(pid: int) -> float:
    """User and system time that a live process and its live children have used; counted in steps of 1/TICKS."""
    return sum(int(ticks) for one in _family(pid) for ticks in _stat(one)[11:13]) / TICKS


def started(pid: int) -> float:
    """When a live process began, on the clock of CLOCK_BOOTTIME."""
    return int(_stat(pid)[19]) / TICKS


def memory(pid: int) -> Memory:
    """What a live process and its live children hold."""
    held = Counter[str]()
    for one in _family(pid):
        lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()[1:]
        held.update({name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)})
    return Memory(held["Rss"] * 1024, held["Pss"] * 1024)


def processes_with(text: str) -> list[int]:
    """The live processes that have `text` in their arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if text.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return sorted(found)


def name(pid: int) -> str:
    """A live process's name, as `ps` shows it."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def end(process: subprocess.Popen[bytes], seconds: float = 10) -> None:
    """Ask a process of ours to end, then make it."""
    process.terminate()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _family(pid: int) -> list[int]:
    """A process and its children; those that have ended and wait to be noticed hold nothing."""
    found = [pid]
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = _stat(int(folder.name))[:2]
            found += [int(folder.name)] if int(parent) == pid and state != "Z" else []
    return found


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _stat(pid: int) -> list[str]:
    """The fields of proc(5)'s stat after the name: the first is number 3, the state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
