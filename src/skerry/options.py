"""What `skerry up` was asked for."""

from dataclasses import dataclass
from typing import Literal

Accelerator = Literal["auto", "kvm", "tcg"]


@dataclass(frozen=True)
class Options:
    """How to serve. `simulate`: how many fake hosts to be instead of this machine, 0 for none.

    `database`: a `postgresql://` URL instead of the SQLite file in the state folder.
    `warm`: new VMs may continue from the memory of a template; `warm_memory`, `warm_disk`: GiB that templates may take,
    None for a share of the host; `standby`: machines that stand by for each. `cpus`, `memory` (GiB): what this
    machine's guests are promised, None for what it has.
    """

    port: int
    accel: Accelerator = "auto"
    simulate: int = 0
    database: str | None = None
    warm: bool = True
    warm_memory: float | None = None
    warm_disk: float | None = None
    standby: int = 2
    cpus: int | None = None
    memory: float | None = None
