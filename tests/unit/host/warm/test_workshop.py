"""Templates are made one at a time, when they are wanted or ordered, and what fails leaves nothing and is told."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.host.warm.test_templates import image_file

from skerry.host.errors import HostError
from skerry.host.warm import workshop as module
from skerry.host.warm.limits import Limits
from skerry.host.warm.memory import new_memory, save_memory
from skerry.host.warm.templates import DISK, RAM, STATE, Key, Template, Templates
from skerry.host.warm.workshop import Workshop
from skerry.hostspec import TemplateObserved, TemplateSpec

MIB = 1 << 20
SPEC = TemplateSpec("debian-1x8-bios", "debian", 1, 8 * MIB, "bios", disk_bytes=64 * MIB, order=1)
KEY = Key("debian", 1, 8 * MIB, "bios", "setting")


class Maker:
    """Makes what looks like templates, or fails with `trouble`. `checked`: whether a trial clone of one works."""

    def __init__(self, templates: Templates) -> None:
        self.templates = templates
        self.made, self.trouble, self.checked = 0, None, True  # type: int, Exception | None, bool

    def make(self, key: Key, _image: Path, disk_bytes: int) -> Template:
        if self.trouble is not None:
            raise self.trouble
        self.made += 1
        folder = self.templates.folder / f".{self.made:08x}-1111-4111-8111-111111111111"
        folder.mkdir()
        image_file(folder / DISK, disk_bytes)
        memory = new_memory(key.memory_bytes)
        save_memory(memory, folder / RAM)
        os.close(memory)
        (folder / STATE).write_bytes(b"state")
        template = self.templates.finish(folder, key, "02:00:00:00:00:01")
        self.templates.approve(template)
        return template

    def check(self, template: Template) -> None:
        if not self.checked:
            self.templates.drop(template, "its trial clone failed")
            raise HostError("its trial clone failed")


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    (tmp_path / "disks").mkdir()
    return Templates(tmp_path, Limits(1 << 40, 1 << 40))


@pytest.fixture
def maker(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> Maker:
    found = Maker(templates)
    monkeypatch.setattr(module, "Maker", lambda *_: found)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "TEND_SECONDS", 0.01)
    return found


@pytest.fixture
def workshop(templates: Templates, maker: Maker) -> Iterator[Workshop]:
    found = opened(templates)
    yield found
    found.close()


class Pool:
    """Machines that stand by: `most` of each template in use. `short`: none is kept."""

    def __init__(self, most: int = 0) -> None:
        self.most, self.short = most, False
        self.used: list[Template] = []
        self.ready: list[str] = []

    def use(self, template: Template) -> None:
        self.used.append(template)

    def wanted(self) -> Template | None:
        return self.used[-1] if self.used and not self.short and len(self.ready) < self.most else None

    def fill(self, template: Template) -> None:
        self.ready.append(template.id)

    def tend(self) -> bool:
        gone, self.ready = (self.ready, []) if self.short else ([], self.ready)
        return bool(gone)

    def close(self) -> None:
        self.ready = []


def opened(templates: Templates, pool: Pool | None = None) -> Workshop:
    host: Any = SimpleNamespace(
        setting=None,
        machine_type="q35",
        loop=None,
        idle_tap=lambda: os.open("/dev/null", os.O_RDONLY),
        library=SimpleNamespace(path=Path),
    )
    stand_in: Any = pool or Pool()
    return Workshop(templates, host, host, host, "setting", pool=stand_in)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def shown(workshop: Workshop) -> TemplateObserved | None:
    return next(iter(workshop.observe().templates), None)


def carried_out(workshop: Workshop, spec: TemplateSpec = SPEC) -> TemplateObserved:
    workshop.order([spec])
    until(lambda: (seen := shown(workshop)) is not None and seen.state != "making")
    found = shown(workshop)
    assert found is not None
    return found


def test_machines_stand_by_of_a_template_that_was_made_and_go_when_they_should(
    templates: Templates, maker: Maker
) -> None:
    pool = Pool(most=2)
    workshop, changes = opened(templates, pool), []
    try:
        workshop.changed = lambda: changes.append(len(pool.ready))
        workshop.want(KEY, 64 * MIB)
        until(lambda: changes[-1:] == [2])
        assert maker.made == 1
        pool.short = True
        until(lambda: changes[-1:] == [0])
    finally:
        workshop.close()


def test_no_machine_is_set_to_stand_by_while_a_vm_is_starting(templates: Templates, maker: Maker) -> None:
    pool = Pool(most=1)
    workshop = opened(templates, pool)
    try:
        workshop.want(KEY, 64 * MIB)
        until(lambda: pool.ready)
        workshop.give_way("vm")
        pool.ready.clear()
        pool.most, looked = 2, []
        pool.tend = lambda: bool(looked.append(1))  # type: ignore[method-assign, func-returns-value]
        until(lambda: len(looked) > 3)  # it looks after those that are there
        assert len(pool.ready) <= 1
        workshop.started("vm")
        until(lambda: len(pool.ready) == 2)
    finally:
        workshop.close()
    assert maker.made == 1


def test_what_is_wanted_is_made_once(workshop: Workshop, maker: Maker) -> None:
    for _ in range(3):
        workshop.want(KEY, 64 * MIB)
    until(lambda: shown(workshop))
    assert (maker.made, shown(workshop)) == (1, workshop.observe().templates[0])


def test_an_order_is_carried_out_once_also_by_the_next_skerry(
    workshop: Workshop, maker: Maker, templates: Templates
) -> None:
    heard = threading.Event()
    workshop.changed = heard.set
    assert carried_out(workshop).state == "ready"
    assert heard.wait(10)
    workshop.order([SPEC])
    later = opened(templates)
    later.order([SPEC])
    later.close()
    assert maker.made == 1


@pytest.mark.parametrize(
    "trouble", [HostError("no guest agent ran within 600 s"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))]
)
def test_what_can_t_be_made_is_told(workshop: Workshop, maker: Maker, trouble: Exception) -> None:
    maker.trouble = trouble
    found = carried_out(workshop)
    assert found.state == "failed"
    assert str(trouble) in found.message


def test_nothing_is_made_while_memory_is_short(
    workshop: Workshop, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_memory", lambda: 100 * MIB)
    assert carried_out(workshop).message == "memory is short: 520 MiB are needed and 100 MiB are free"
    monkeypatch.setattr(module, "available_memory", lambda: 1 << 40)
    workshop.want(KEY, 64 * MIB)
    until(lambda: maker.made > 0)


def test_a_user_s_start_comes_first(workshop: Workshop, maker: Maker) -> None:
    workshop.give_way("vm")
    workshop.want(KEY, 64 * MIB)
    time.sleep(0.1)
    assert not maker.made
    workshop.started("vm")
    until(lambda: maker.made > 0)


def test_a_template_that_is_doubted_stays_if_a_trial_clone_works(workshop: Workshop, maker: Maker) -> None:
    workshop.want(KEY, 64 * MIB)
    until(lambda: shown(workshop))
    (template,) = maker.templates.list()
    workshop.check(template)
    maker.trouble = HostError("nothing is to be made")
    carried_out(workshop)
    assert maker.templates.list() == [template]


def test_a_template_that_is_doubted_and_fails_again_is_made_anew(workshop: Workshop, maker: Maker) -> None:
    workshop.want(KEY, 64 * MIB)
    until(lambda: shown(workshop))
    (template,) = maker.templates.list()
    maker.checked = False
    workshop.check(template)
    until(lambda: maker.made == 2)
    until(maker.templates.list)
    assert maker.templates.find(KEY) != template
