"""Every step of every kind of operation runs twice, is taken back and run again, and dies at each moment.

Whatever happens, the operation ends as it would have, once. `make test-durable` dies at every moment of every scenario;
the ordinary run at some of them.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.api.client import Answer
from tests.consistent import consistent
from tests.engine.moments import Killed, Moments
from tests.engine.scenarios import SCENARIOS, Scenario
from tests.engine.stepped import Clock
from tests.engine.world import World, opened

from skerry.arm.errors import ArmError
from skerry.engine.steps import Hop, Outcome, Step, StepContext
from skerry.resources.registry import KINDS

ALL = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
DEATHS = int(os.environ.get("SKERRY_DEATHS", "4"))  # in each scenario; 0: at every moment


class Prepared:
    """A scenario's world before its request, and what the request leads to when nothing happens."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self._folder, self._count = scenario, folder, 0
        with opened(folder / "prepare", Clock()) as world:
            scenario.prepare(world.arm)
            world.settle()
            world.save(folder / "base")
        with self.again() as world:
            answer = world.arm.wait(scenario.request(world.arm))
            self.status, self.facts, self.moments = answer.body["status"], world.facts(), list(world.moments.names)
            self.kinds = {row["kind"] for row in world.rows()["operations"]}
            consistent(world.control, world.host, quiet=True)

    def again(self, fatal: int = 0) -> AbstractContextManager[World]:
        """The world before the request, in a folder of its own."""
        self._count += 1
        folder = self._folder / str(self._count)
        shutil.copytree(self._folder / "base", folder)
        return opened(folder, Clock(), Moments(fatal))

    def check(self, world: World) -> None:
        """All is as if nothing had happened."""
        world.settle()
        consistent(world.control, world.host, quiet=True)
        found = world.facts()
        for what, facts in self.facts.items():
            extra, missing = set(found[what]) - set(facts), set(facts) - set(found[what])
            assert found[what] == facts, f"{what} has {sorted(extra)} in the place of {sorted(missing)}"


_prepared: dict[str, Prepared] = {}


@pytest.fixture
def prepared(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The scenario, prepared once."""
    if scenario.name not in _prepared:
        _prepared[scenario.name] = Prepared(scenario, tmp_path_factory.mktemp("scenario"))
    return _prepared[scenario.name]


def test_every_kind_of_operation_has_a_scenario() -> None:
    assert {scenario.kind for scenario in SCENARIOS} == set(KINDS)


@ALL
def test_it_ends_as_it_should(scenario: Scenario, prepared: Prepared) -> None:
    assert prepared.status == scenario.status
    assert scenario.kind in prepared.kinds


def _wrapped(world: World, wrap: Callable[[str, Step], Step]) -> None:
    """Let the engine run other steps than the kinds have."""
    kinds = {
        name: replace(kind, steps={step: wrap(step, run) for step, run in kind.steps.items()})
        for name, kind in KINDS.items()
    }
    world.control.engine._kinds = kinds


def _twice(step: str, run: Step) -> Step:
    """Run the step, keep all that it did but not what comes next, and run it again in another transaction."""

    def first(context: StepContext) -> Outcome:
        outcome, marks = run(context), context.operation.state.setdefault("a test ran", {})
        marks[step] = marks.get(step, 0) + 1
        gone = context.work.resources.get(context.row.key) is None
        return outcome if marks[step] % 2 == 0 or gone else Hop(step)

    return first


@ALL
def test_every_step_may_run_twice(scenario: Scenario, prepared: Prepared) -> None:
    with prepared.again() as world:
        _wrapped(world, _twice)
        answer = world.arm.wait(scenario.request(world.arm))
        assert answer.body["status"] == scenario.status
        prepared.check(world)


def _taken_back(ran: set[str]) -> Callable[[str, Step], Step]:
    """Fail unforeseen at the end of each step's first run, so that all it did is taken back."""

    def wrap(step: str, run: Step) -> Step:
        def failing(context: StepContext) -> Outcome:
            key = f"{context.operation.id} {step}"
            if key in ran:
                return run(context)
            ran.add(key)
            with suppress(ArmError):
                run(context)
            raise RuntimeError("a test's own")

        return failing

    return wrap


@ALL
def test_every_step_may_fail_unforeseen_and_run_again(scenario: Scenario, prepared: Prepared) -> None:
    with prepared.again() as world:
        ran: set[str] = set()
        _wrapped(world, _taken_back(ran))
        answer = world.arm.wait(scenario.request(world.arm))
        assert answer.body["status"] == scenario.status
        assert ran
        prepared.check(world)


def _fatal_moments(prepared: Prepared) -> list[int]:
    """Some moments that lie apart, others for each scenario; or all."""
    count = len(prepared.moments)
    if not DEATHS or count <= DEATHS:
        return list(range(1, count + 1))
    offset = len(prepared.scenario.name)
    return sorted({1 + (offset + number * count // DEATHS) % count for number in range(DEATHS)})


@ALL
def test_the_process_may_die_at_any_moment(scenario: Scenario, prepared: Prepared) -> None:
    for fatal in _fatal_moments(prepared):
        # What dies while it works on the host is the agent, whether the control plane is in its process or not.
        of_host = prepared.moments[fatal - 1].startswith("host")
        for agent in (True,) if of_host else (True, False):
            with prepared.again(fatal) as world:
                where = f"moment {fatal}, {prepared.moments[fatal - 1]}, with agent: {agent}"
                try:
                    _live_on(scenario, world, agent=agent)
                    assert world.moments.passed >= fatal
                    prepared.check(world)
                except AssertionError as error:
                    raise AssertionError(f"{where}: {error}") from error


def _live_on(scenario: Scenario, world: World, *, agent: bool) -> None:
    """Send the request, die, start again; a client without an answer looks, and asks again if nothing was done."""
    before, answer = world.facts(), None
    try:
        answer = scenario.request(world.arm)
        world.settle()
    except Killed:
        world.crash(agent=agent)
    else:
        raise AssertionError("it did not die")
    if answer is None and world.facts() == before:
        answer = scenario.request(world.arm)
    world.settle()
    if answer is not None:
        _check_poll(scenario, world, answer)


def _check_poll(scenario: Scenario, world: World, answer: Answer) -> None:
    """The same URL goes on to answer."""
    polled = world.arm.get(answer.headers["azure-asyncoperation"])
    assert (polled.status, polled.body["status"]) == (200, scenario.status), polled.body
