"""A real SIGKILL, in a process of its own, at moments of every kind of operation; the next process goes on."""

import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest
from tests.engine.moments import Moments
from tests.engine.scenarios import SCENARIOS, Scenario
from tests.engine.stepped import Clock
from tests.engine.world import opened

from skerry.resources.registry import KINDS

DEATHS = int(os.environ.get("SKERRY_SIGKILLS", "1"))  # of each kind of operation
# The first scenario of each kind.
FIRST = {kind: next(s.name for s in SCENARIOS if s.kind == kind) for kind in KINDS}
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])  # what is imported once needn't be by each process


def _scenario(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


def _die(_where: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def prepare(name: str, folder: Path) -> None:
    """Make the scenario's world and save it in `folder`/base; what its request leads to is written beside it."""
    scenario = _scenario(name)
    with opened(folder / "prepare", Clock()) as world:
        scenario.prepare(world.arm)
        world.settle()
        world.save(folder / "base")
    shutil.copytree(folder / "base", folder / "reference")
    with opened(folder / "reference", Clock()) as world:
        scenario.request(world.arm)
        world.settle()
        (folder / "facts").write_text(repr(world.facts()))
        (folder / "moments").write_text(str(world.moments.passed))


def live(name: str, folder: Path, fatal: int) -> None:
    """Send the request, and die at the moment `fatal`."""
    with opened(folder, Clock(), Moments(fatal, _die)) as world:
        link = _scenario(name).request(world.arm).headers["azure-asyncoperation"]
        (folder / "link").write_text(link)
        world.settle()


def live_on(name: str, folder: Path) -> None:
    """Go on with what is there, and write down what came of it. Without an answer and a trace: ask again."""
    with opened(folder, Clock()) as world:
        scenario, link = _scenario(name), folder / "link"
        if not link.exists() and not world.running():
            world.arm.wait(scenario.request(world.arm))
        world.settle()
        if link.exists():
            polled = world.arm.get(link.read_text())
            assert (polled.status, polled.body["status"]) == (200, scenario.status)
        (folder / "facts").write_text(repr(world.facts()))


def _run(*arguments: object) -> int:
    work, *rest = arguments
    process = _context.Process(target=work, args=rest)  # type: ignore[arg-type]
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


@pytest.mark.parametrize("kind", FIRST)
def test_the_next_process_ends_what_the_killed_one_began(kind: str, tmp_path: Path) -> None:
    name = FIRST[kind]
    assert _run(prepare, name, tmp_path) == 0
    count = int((tmp_path / "moments").read_text())
    for number in range(DEATHS):
        fatal = 1 + (len(name) + number * count // DEATHS) % count
        folder = tmp_path / f"at {fatal}"
        shutil.copytree(tmp_path / "base", folder)
        assert _run(live, name, folder, fatal) == -signal.SIGKILL
        assert _run(live_on, name, folder) == 0
        assert (folder / "facts").read_text() == (tmp_path / "facts").read_text(), f"killed at moment {fatal}"
