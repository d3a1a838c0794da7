"""Who starts warm, and that whatever fails on the way ends in a cold start with a disk as new."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.host.warm.test_templates import KEY, MIB, make

from skerry.host.compute.driver import DiskFile
from skerry.host.errors import HostError
from skerry.host.warm import starts as module
from skerry.host.warm.clone import Clone
from skerry.host.warm.limits import Limits
from skerry.host.warm.standby import Awakening
from skerry.host.warm.starts import TemplateStarts
from skerry.host.warm.templates import DETAILS, DISK, RAM, STATE, Template, Templates
from skerry.hostspec import DiskAttachment, PortSpec, Provisioning, SubnetSpec, VmSpec, VnetSpec

SUBNET = SubnetSpec("s", "10.0.0.0/24")
VNET = VnetSpec(
    "v", ("10.0.0.0/16",), (SUBNET,), nsgs=(), ports=(PortSpec("p", "vm", "00-0D-3A-00-00-01", "10.0.0.4", "s", "web"),)
)
VM = VmSpec(
    "vm",
    "web",
    KEY.vcpus,
    KEY.memory_bytes,
    (DiskAttachment("d"),),
    ("p",),
    ("00-0D-3A-00-00-01",),
    firmware=KEY.firmware,
    provisioning=Provisioning("web", "me"),
)


class Host:
    """Compute and storage: `trouble` ends a start; `started` and `below` tell what became of the VM and its disk."""

    accelerator, machine_type, setting = "tcg", "q35", SimpleNamespace(binary="qemu")

    def __init__(self, state: Path) -> None:
        self.state, self.trouble = state, ""
        self.started: list[str] = []
        self.below: list[Path | None] = []
        self.origins: list[type] = []
        self.with_cd = False
        (state / "images" / KEY.image).mkdir(parents=True)

    def machines(self) -> dict[str, Any]:
        return {}

    def holds_data(self, _disk: str) -> bool:
        return False

    def file(self, _disk: str) -> DiskFile:
        disk = next((self.state / "templates").glob(f"*/{DISK}"))
        return DiskFile(str(disk), "qcow2", backing=((f"{self.state}/images/{KEY.image}/disk.qcow2", "qcow2"),))

    def rebase(self, _disk: str, base: Path | None) -> None:
        self.below.append(base)

    def start_from(self, vm: VmSpec, _disks: object, _taps: object, origin: object, _variables: object) -> None:
        if self.trouble:
            raise HostError(self.trouble)
        self.started.append(vm.id)
        self.origins.append(type(origin))
        self.with_cd = vm.provisioning is not None

    def give(self, path: Path, disk: str) -> None: ...

    def adopt(self, port: str, tap: int) -> None: ...


class Workshop:
    """Remembers what it was told to do."""

    def __init__(self, *_: object, **__: object) -> None:
        self.checked: list[Template] = []

    def give_way(self, vm: str) -> None: ...

    def started(self, vm: str) -> None: ...

    def check(self, template: Template) -> None:
        self.checked.append(template)

    def close(self) -> None: ...


class Pool:
    """One machine may stand by."""

    def __init__(self, *_: object) -> None:
        self.standby: Any = None
        self.used: list[Template] = []

    def hold(self) -> None: ...

    def take(self, vm: str) -> Any:
        taken = self.standby if self.standby and self.standby.vm == vm else None
        self.standby = None if taken else self.standby
        return taken

    def use(self, template: Template) -> None:
        self.used.append(template)

    def close(self) -> None: ...


class Standby:
    """`ended`: whether it was let go of."""

    def __init__(self, vm: str, fits: bool = True) -> None:
        self.vm, self.tap, self.ended = vm, 0, False
        self._fits = fits

    def fits(self, *_: object) -> bool:
        return self._fits

    def end(self) -> None:
        self.ended = True


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    (tmp_path / "disks").mkdir()
    return Templates(tmp_path, Limits(1 << 40, 1 << 40))


@pytest.fixture
def host(templates: Templates) -> Host:
    return Host(templates.folder.parent)


@pytest.fixture
def starts(templates: Templates, host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[TemplateStarts]:
    monkeypatch.setattr(module, "setting", lambda *_: KEY.setting)
    monkeypatch.setattr(module, "Workshop", Workshop)
    monkeypatch.setattr(module, "Pool", Pool)
    driver: Any = host
    found = TemplateStarts(templates, driver, driver, driver, standby=2)
    yield found
    found.close()


def checked(starts: TemplateStarts) -> list[Template]:
    workshop: Any = starts._workshop
    return list(workshop.checked)


def test_a_vm_of_the_template_s_kind_starts_warm(templates: Templates, starts: TemplateStarts, host: Host) -> None:
    template = make(templates)
    assert starts.start(VM, [VNET], [])
    assert (host.started, host.below) == (["vm"], [templates.disk(template)])


@pytest.mark.parametrize("name", [RAM, STATE, DISK, DETAILS])
def test_a_damaged_template_means_a_cold_start(
    templates: Templates, starts: TemplateStarts, host: Host, name: str
) -> None:
    template = make(templates)
    disk = host.file("d")
    host.file = lambda _disk: disk  # type: ignore[method-assign]
    path = templates.folder / template.id / name
    spared = path.read_bytes()
    path.write_bytes(b"X" + spared[1:])
    if name == DISK:  # the VM's own disk stands in for it here
        host.file = lambda _disk: DiskFile(str(copy), "qcow2", backing=disk.backing)  # type: ignore[method-assign]
        (copy := host.state / "copy.qcow2").write_bytes(spared)
    assert not starts.start(VM, [VNET], [])
    assert not host.started
    assert host.below[-1] is None
    assert templates.find(KEY) is None
    assert not checked(starts)


def test_a_guest_that_fails_means_a_cold_start_and_a_check(
    templates: Templates, starts: TemplateStarts, host: Host
) -> None:
    template = make(templates)
    host.trouble = "the guest agent did not answer within 30 s"
    assert not starts.start(VM, [VNET], [])
    assert host.below == [templates.disk(template), None]
    assert checked(starts) == [template]


def test_another_size_starts_cold(templates: Templates, starts: TemplateStarts, host: Host) -> None:
    make(templates)
    larger = VmSpec(**{**{f: getattr(VM, f) for f in VM.__struct_fields__}, "memory_bytes": 64 * MIB})
    assert not starts.start(larger, [VNET], [])
    assert host.below == [None]


def pool(starts: TemplateStarts) -> Any:
    return starts._pool


def test_a_machine_that_stands_by_becomes_the_vm_with_its_id(
    templates: Templates, starts: TemplateStarts, host: Host
) -> None:
    template = make(templates)
    pool(starts).standby = standby = Standby("vm")
    assert starts.start(VM, [VNET], [])
    assert (host.started, host.origins, host.below) == (["vm"], [Awakening], [])
    assert pool(starts).used == [template]
    assert standby.ended  # which ends nothing of what it became


def test_another_vm_leaves_it_alone(templates: Templates, starts: TemplateStarts, host: Host) -> None:
    make(templates)
    pool(starts).standby = standby = Standby("another")
    assert starts.start(VM, [VNET], [])
    assert (host.origins, pool(starts).standby, standby.ended) == ([Clone], standby, False)


def test_one_that_does_not_fit_is_let_go_of_and_the_vm_starts_from_the_template(
    templates: Templates, starts: TemplateStarts, host: Host
) -> None:
    make(templates)
    pool(starts).standby = standby = Standby("vm", fits=False)
    assert starts.start(VM, [VNET], [])
    assert (host.origins, standby.ended) == ([Clone], True)


def test_one_that_fails_means_a_cold_start_and_a_check(
    templates: Templates, starts: TemplateStarts, host: Host
) -> None:
    template = make(templates)
    pool(starts).standby = standby = Standby("vm")
    host.trouble = "no QMP at qmp.sock"
    assert not starts.start(VM, [VNET], [])
    assert (host.below, standby.ended, checked(starts)) == ([None], True, [template])


def test_no_vm_runs_beside_the_machine_that_has_its_id(
    templates: Templates, starts: TemplateStarts, host: Host
) -> None:
    """It may not be fit to start warm at all."""
    make(templates)
    pool(starts).standby = standby = Standby("vm")
    assert not starts.start(replace(VM, warm=False), [VNET], [])
    assert standby.ended


@pytest.mark.parametrize("data", [None, "IyEvYmluL3NoCg=="])
def test_a_clone_has_the_provisioning_cd_for_custom_data_only(
    templates: Templates, starts: TemplateStarts, host: Host, data: str | None
) -> None:
    make(templates)
    vm = replace(VM, provisioning=Provisioning("web", "me", custom_data=data))
    assert starts.start(vm, [VNET], [])
    assert host.with_cd == (data is not None)
