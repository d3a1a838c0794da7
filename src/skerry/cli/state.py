"""The state folder as a client sees it: where it is, whether a Skerry runs on it, what its secrets are.

STATE/skerry.pid   JSON: pid, started (boot and start time, so that a reused pid is told apart), port, base_url
STATE/stop.json    JSON: keep_vms; written before SIGTERM, read by the server when it stops
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skerry.cli.errors import CliError

PID_FILE = "skerry.pid"
STOP_FILE = "stop.json"


@dataclass(frozen=True)
class Running:
    """A Skerry that serves. `started` identifies the process together with its pid."""

    pid: int
    started: str
    port: int
    base_url: str

    def alive(self) -> bool:
        """Whether the very same process is still there."""
        return process_started(self.pid) == self.started


@dataclass(frozen=True)
class Credentials:
    """What a client of this Skerry logs in with."""

    tenant_id: str
    subscription_id: str
    app_id: str
    app_secret: str


def state_folder(given: Path | None) -> Path:
    """`given`, or /var/lib/skerry for root, or $XDG_STATE_HOME/skerry; absolute."""
    if given is not None:
        return given.absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/skerry")
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "skerry"


def process_started(pid: int) -> str | None:
    """Boot id and start time in clock ticks of a live process; None when there is none (or only its zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def running(state: Path) -> Running | None:
    """The Skerry that serves `state`; None when there is none. A file that a power cut left half is of none."""
    try:
        content = json.loads(_read(state / PID_FILE) or b"null")
        found = Running(int(content["pid"]), content["started"], int(content["port"]), content["base_url"])
    except (KeyError, TypeError, ValueError):
        return None
    return found if found.alive() else None


def needed(state: Path) -> Running:
    """The Skerry that serves `state`. Raises CliError when there is none."""
    found = running(state)
    if found is None:
        raise CliError(f"Skerry isn't running on {state}. Start it with `skerry up --detach`, or name another --state.")
    return found


def database_of(state: Path) -> str:
    """Where the resources are: the SQLite file, or what STATE/database says, which has no password."""
    try:
        return (state / "database").read_text().strip()
    except FileNotFoundError:
        return str(state / "skerry.db")
    except PermissionError as error:
        raise CliError(f"{state} can't be read. Run as the user who started Skerry (sudo?).") from error


def write_running(state: Path, port: int, base_url: str) -> None:
    """Say that this process serves `state`."""
    me = Running(os.getpid(), process_started(os.getpid()) or "", port, base_url)
    write_json(state / PID_FILE, asdict(me))


def credentials(state: Path) -> Credentials:
    """The service principal's login. Raises CliError when there is none yet or it can't be read."""
    text = _read(state / "keys" / "account.json")
    if text is None:
        raise CliError(f"{state} has no account yet: no Skerry was ever started on it. Start one with `skerry up`.")
    try:
        content = json.loads(text)
        return Credentials(content["tenant_id"], content["subscription_id"], content["app_id"], content["app_secret"])
    except (KeyError, TypeError, ValueError) as error:
        raise CliError(f"{state}/keys/account.json is damaged. Bring it back from a copy.") from error


def write_json(path: Path, content: Any) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "w") as file:
        json.dump(content, file)
    Path(name).replace(path)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise CliError(f"{path} can't be read. Run as the user who started Skerry (sudo?).") from error
