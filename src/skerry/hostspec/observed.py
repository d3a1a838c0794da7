"""What an agent saw on its host, reported whole after each round of convergence and on every event."""

from typing import Literal

from msgspec import Struct

VmPower = Literal["starting", "running", "stopping", "stopped", "failed"]
Health = Literal["pending", "ready", "failed"]


class VmObserved(Struct, frozen=True):
    """A VM as it is. `failed`: it should run and can't; `message` says why (also set when a guest crashed).

    `start_generation` / `restart_generation` / `restore_generation`: the last orders carried out.
    `health`: what the guest reported to the platform (cloud-init's Ready post) since its first start.
    `vcpus`, `memory_bytes`: what the running QEMU was started with.
    `phases`: if it continued from a template, seconds from its start to the end of each phase; empty for a cold start.
    """

    id: str
    power: VmPower
    start_generation: int = 0
    restart_generation: int = 0
    health: Health = "pending"
    message: str = ""
    vcpus: int = 0
    memory_bytes: int = 0
    agent_version: str = ""
    phases: dict[str, float] = {}
    restore_generation: int = 0


class DiskObserved(Struct, frozen=True):
    """A disk file that is on this host. `message` is set when it couldn't be made, resized or removed."""

    id: str
    ready: bool
    size_bytes: int = 0
    message: str = ""


class CheckpointObserved(Struct, frozen=True):
    """A checkpoint that is on this host. `message` is set when it couldn't be made or removed.

    `memory`: it holds the running machine; `size_bytes`: what it takes of the host's disk, its disks left out.
    `pause_seconds`: how long the guest stood still; `disk_pause_seconds`: the part of it that its disks took.
    """

    id: str
    ready: bool
    memory: bool = False
    size_bytes: int = 0
    pause_seconds: float = 0.0
    disk_pause_seconds: float = 0.0
    message: str = ""


class ImageObserved(Struct, frozen=True):
    """An image of the host's library, as its image.json describes it; `aliases` are URNs that lead to it."""

    id: str
    publisher: str
    offer: str
    sku: str
    version: str
    os_type: Literal["Linux", "Windows"] = "Linux"
    generation: Literal["V1", "V2"] = "V2"
    architecture: Literal["x64", "Arm64"] = "x64"
    size_bytes: int = 0
    alias: str = ""
    aliases: tuple[str, ...] = ()
    description: str = ""


class TemplateObserved(Struct, frozen=True):
    """A template for VMs of `image` and this size, tried and usable (`ready`), or one that was ordered.

    `order`: the last one taken up. `message`: why it failed. `loaded_bytes`, `disk_bytes`: what it takes of the host.
    """

    id: str
    image: str
    vcpus: int
    memory_bytes: int
    state: Literal["making", "ready", "failed"]
    order: int = 0
    message: str = ""
    loaded_bytes: int = 0
    disk_bytes: int = 0


class WarmObserved(Struct, frozen=True):
    """The templates of a host, and what all of them together may take of its memory and its disk."""

    templates: tuple[TemplateObserved, ...]
    memory_limit_bytes: int
    disk_limit_bytes: int


class StandbyObserved(Struct, frozen=True):
    """A machine that waits to become the VM `vm`, a vmId that nobody has; any VM that `template` is for can get it."""

    vm: str
    template: str


class HostCapacity(Struct, frozen=True):
    """What a host can give: logical CPUs and bytes of memory and disk, the accelerator in use, and where it stands.

    `zone` is "1", "2" …, or empty for none; hosts of one `fault_domain` fail together. Only a VM that tolerates all of
    its `taints` is placed on it.
    """

    cpus: int
    memory_bytes: int
    disk_bytes: int
    accelerator: Literal["kvm", "tcg", "fake"]
    architecture: Literal["x64", "Arm64"] = "x64"
    zone: str = ""
    fault_domain: int = 0
    taints: tuple[str, ...] = ()


class Observed(Struct, frozen=True):
    """One report. `revision` is the spec revision whose network and disk part was applied but for `problems`; 0: none.

    A VM that is in the spec but missing in `vms` has not been looked at yet; one that is in neither is gone.
    `warm`: None where warm starts are turned off.
    `problems`: (kind, id, message) of what could not be converged and is being tried again.
    """

    revision: int
    capacity: HostCapacity
    vms: tuple[VmObserved, ...] = ()
    disks: tuple[DiskObserved, ...] = ()
    images: tuple[ImageObserved, ...] = ()
    checkpoints: tuple[CheckpointObserved, ...] = ()
    problems: tuple[tuple[str, str, str], ...] = ()
    warm: WarmObserved | None = None
    standbys: tuple[StandbyObserved, ...] = ()
