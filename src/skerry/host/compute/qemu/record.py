"""What outlives Skerry about a VM: STATE/vms/ID/argv.json, written before and after each change that matters."""

from pathlib import Path

import msgspec
import structlog

from skerry.host.compute.driver import Reason
from skerry.host.files import write_atomically

log = structlog.get_logger()

FILE = "argv.json"


class Record(msgspec.Struct, frozen=True):
    """`machine` is the machine type, pinned for the VM's life so that a newer QEMU doesn't change its hardware.

    `argv`, `pid`, `started`, `boot` are of its last process (pid 0: none noted); `reason`: why it was last seen halted;
    `lost`: how many processes in a row ended soon and unexpectedly.
    `phases`: seconds to the end of each, if it continued from a template.
    `unborn`: it began to and isn't its user's yet; what is left of it is dropped.
    """

    id: str
    machine: str
    argv: tuple[str, ...] = ()
    pid: int = 0
    started: int = 0
    boot: str = ""
    start_generation: int = 0
    restart_generation: int = 0
    vcpus: int = 0
    memory_bytes: int = 0
    disks: tuple[str, ...] = ()
    reason: Reason = ""
    message: str = ""
    agent_version: str = ""
    lost: int = 0
    phases: dict[str, float] = {}
    unborn: bool = False
    restore_generation: int = 0


def save(folder: Path, record: Record) -> None:
    """Durable when this returns."""
    write_atomically(folder / FILE, msgspec.json.format(msgspec.json.encode(record), indent=1))


def load(folder: Path) -> Record | None:
    """The record; None when there is none, or none that can be read: that one is put aside."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        aside = folder / f"{FILE}.damaged"
        log.error(
            "a VM's record can't be read and is put aside", folder=str(folder), aside=str(aside), error=str(error)
        )
        (folder / FILE).replace(aside)
        return None
