"""How many machines stand by, for what, and when they have to go."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace
from tests.unit.host.warm.test_templates import AMPLE, KEY, MIB, make

from skerry.host.errors import HostError
from skerry.host.warm import pool as module
from skerry.host.warm.limits import SPARE_BYTES
from skerry.host.warm.pool import Pool
from skerry.host.warm.standby import Standby
from skerry.host.warm.templates import Key, Template, Templates
from skerry.hostspec import DiskAttachment, StandbyObserved, VmSpec, mac_for, template_id

OTHER = "22222222-2222-4222-8222-222222222222"


class Machine:
    """A Standby. `alive`: whether its QEMU is; `ended`: whether it was ended."""

    def __init__(self, vm: str, template: Template) -> None:
        self.vm, self.template, self.alive, self.ended = vm, template, True, False

    def lives(self) -> bool:
        return self.alive

    def end(self) -> None:
        self.ended = True


class Host:
    """Memory that is free, a clock, and machines that were started."""

    def __init__(self) -> None:
        self.free, self.now, self.trouble = 1 << 40, 1000.0, ""
        self.machines: list[Machine] = []

    def started(self, template: Template) -> Machine:
        if self.trouble:
            raise HostError(self.trouble)
        self.machines.append(Machine(f"vm{len(self.machines)}", template))
        return self.machines[-1]


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    (tmp_path / "disks").mkdir()
    return Templates(tmp_path, AMPLE)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host()
    monkeypatch.setattr(Pool, "_started", found.started)
    monkeypatch.setattr(module, "available_memory", lambda: found.free)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: found.now))
    return found


@pytest.fixture
def pool(templates: Templates, host: Host) -> Pool:
    nothing: Any = None
    return Pool(templates, nothing, nothing, nothing, 2)


def fill(pool: Pool) -> int:
    """As the workshop does; how many were started."""
    count = 0
    while (template := pool.wanted()) is not None and count < 10:
        pool.fill(template)
        count += 1
    return count


def test_so_many_stand_by_for_each_template_in_use(pool: Pool, templates: Templates, host: Host) -> None:
    one, other = make(templates), make(templates, Key("other", 1, 8 * MIB, "bios", "tcg"), OTHER)
    assert fill(pool) == 0
    pool.use(one)
    assert fill(pool) == 2
    pool.use(other)
    assert fill(pool) == 2
    name = template_id(KEY.image, KEY.vcpus, KEY.memory_bytes, KEY.firmware)
    assert pool.observe()[0] == StandbyObserved("vm0", name)
    taken: Any = pool.take("vm0")
    assert taken is host.machines[0]
    assert pool.take("vm0") is None
    assert fill(pool) == 1


def test_none_is_started_right_after_a_vm_nor_where_memory_is_short(
    pool: Pool, templates: Templates, host: Host
) -> None:
    pool.use(make(templates))
    pool.hold()
    assert fill(pool) == 0
    host.now += module.QUIET_SECONDS
    host.free = SPARE_BYTES + KEY.memory_bytes
    assert fill(pool) == 0
    host.free += 1
    assert fill(pool) == 2


def test_they_go_when_memory_is_short(pool: Pool, templates: Templates, host: Host) -> None:
    pool.use(make(templates))
    fill(pool)
    assert not pool.tend()
    host.free = SPARE_BYTES - 1
    assert pool.tend()
    assert all(machine.ended for machine in host.machines)
    assert not pool.observe()


def test_one_that_died_goes_and_another_comes(pool: Pool, templates: Templates, host: Host) -> None:
    pool.use(make(templates))
    fill(pool)
    host.machines[0].alive = False
    assert pool.tend()
    assert [machine.ended for machine in host.machines] == [True, False]
    assert fill(pool) == 1


def test_they_go_with_their_template_and_when_it_is_not_used_any_more(
    pool: Pool, templates: Templates, host: Host
) -> None:
    template = make(templates)
    pool.use(template)
    fill(pool)
    host.now += module.IN_USE_SECONDS + 1
    assert pool.tend()
    pool.use(template)
    fill(pool)
    templates.drop(template, "for the test")
    assert pool.tend()
    assert all(machine.ended for machine in host.machines)
    assert fill(pool) == 0


def test_a_failure_is_not_repeated_until_the_template_is_used_again(
    pool: Pool, templates: Templates, host: Host
) -> None:
    template = make(templates)
    pool.use(template)
    host.trouble = "the guest agent did not answer"
    assert fill(pool) == 1
    host.trouble = ""
    assert fill(pool) == 0
    pool.use(template)
    assert fill(pool) == 2


def test_nothing_stays_after_the_end(pool: Pool, templates: Templates, host: Host) -> None:
    template = make(templates)
    pool.use(template)
    fill(pool)
    pool.close()
    assert all(machine.ended for machine in host.machines)
    pool.fill(template)  # it was under way
    assert host.machines[-1].ended
    assert pool.wanted() is None


def test_what_a_killed_skerry_left_is_removed(tmp_path: Path) -> None:
    module.sweep(tmp_path)
    left = tmp_path / "standby" / OTHER
    left.mkdir(parents=True)
    module.sweep(tmp_path)
    assert not left.exists()


def test_one_fits_its_vm_only(templates: Templates) -> None:
    template, anything = make(templates), cast("Any", None)
    vm = VmSpec("v", "web", 1, 8 * MIB, (DiskAttachment("d"),), ("p",), (mac_for("v"),))
    standby = Standby("v", template, Path(), Path(), 0, anything, anything)
    assert standby.fits(vm, template, template.disk_bytes)
    assert not standby.fits(vm, template, template.disk_bytes + 1)
    assert not standby.fits(replace(vm, id="w"), template, template.disk_bytes)
    assert not standby.fits(replace(vm, macs=("00:0d:3a:00:00:01",)), template, template.disk_bytes)
