"""The engine on a toy type: hops, naps, failures, preemption, deadlines, and a process that dies at any step."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from skerry.arm.errors import ErrorDetail
from skerry.arm.registry import Registry
from skerry.arm.rows import body_of, new_operation
from skerry.arm.secrets import Secrets
from skerry.arm.service import Installation, ResourceService
from skerry.engine.engine import MAX_ATTEMPTS, Engine
from skerry.engine.steps import Done, Hop, Nap, OperationFailed, OperationKind, Outcome, StepContext
from skerry.store import OperationRow, ResourceRow, Store
from skerry.store.migrate import prepare


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it runs."""


class Gateway:
    """No host."""

    def serial_log(self, vm: str) -> bytes | None:
        """Nothing."""
        return None


class World:
    """A toy operation of three steps, each of which writes down in the row that it ran."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.kill_at = ""
        self.broken_at = ""
        self.ran: list[str] = []
        steps = {"start": self._step("start", Hop("two")), "two": self._step("two", Hop("three"))}
        steps["three"] = self._step("three", Done(b'{"x":1}'))
        steps["nap"] = self._nap
        steps["fail"] = self._fail
        kind = OperationKind("toy", steps, on_failure=self._undo)
        installation = Installation("sub", "tenant", "https://localhost:1", Secrets(bytes(32)))
        self._arguments = (store, ResourceService(Registry([], []), installation, Gateway()), {"toy": kind})

    def engine(self) -> Engine:
        """A new process's engine."""
        return Engine(*self._arguments)

    def _step(self, name: str, outcome: Outcome):  # type: ignore[no-untyped-def]
        def run(context: StepContext) -> Outcome:
            self.ran.append(name)
            if self.broken_at == name:
                raise RuntimeError("a defect")
            context.row.private.setdefault("done", [])
            if name not in context.row.private["done"]:
                context.row.private["done"].append(name)
            context.work.resources.save(context.row)
            if self.kill_at == name:
                self.kill_at = ""
                raise Killed
            return outcome

        return run

    def _nap(self, context: StepContext) -> Outcome:
        self.ran.append("nap")
        return Nap(1000)

    def _fail(self, context: StepContext) -> Outcome:
        context.row.private["half"] = True
        context.work.resources.save(context.row)
        raise OperationFailed("Toy", "It can't be done.")

    def _undo(self, context: StepContext, error: ErrorDetail) -> None:
        context.row.private["undone"] = error.code
        context.work.resources.save(context.row)

    def begin(self, step: str = "start", seconds: float = 1000) -> str:
        """A new operation on the resource `a`, made if needed."""
        with self.store.write() as work:
            row = work.resources.get("a") or ResourceRow("a", "/A", "t", "g", "a", b'{"properties":{}}')
            operation = new_operation(row, "toy", step=step, seconds=seconds)
            work.resources.save(row)
            work.operations.add(operation)
        return operation.id

    def see(self, identifier: str) -> tuple[OperationRow, ResourceRow]:
        """The operation and its resource."""
        with self.store.read() as work:
            operation, row = work.operations.get(identifier), work.resources.get("a")
        assert operation is not None
        assert row is not None
        return operation, row


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    prepare(tmp_path / "skerry.db")
    store = Store(tmp_path / "skerry.db")
    yield World(store)
    store.close()


def test_steps_run_to_the_end_and_release_the_resource(world: World) -> None:
    identifier = world.begin()
    world.engine().run_due()
    operation, row = world.see(identifier)
    assert (operation.status, operation.result, row.operation) == ("Succeeded", b'{"x":1}', "")
    assert row.private["done"] == ["start", "two", "three"]


@pytest.mark.parametrize("step", ["start", "two", "three"])
def test_a_process_killed_in_any_step_leaves_nothing_of_it_and_the_next_goes_on(world: World, step: str) -> None:
    identifier = world.begin()
    world.kill_at = step
    with pytest.raises(Killed):
        world.engine().run_due()
    operation, row = world.see(identifier)
    assert (operation.status, operation.step) == ("InProgress", step)
    assert step not in row.private.get("done", [])
    world.engine().run_due()
    operation, row = world.see(identifier)
    assert operation.status == "Succeeded"
    assert row.private["done"] == ["start", "two", "three"]


@pytest.mark.parametrize("step", ["start", "two"])
def test_a_step_that_runs_twice_does_no_harm(world: World, step: str) -> None:
    identifier = world.begin()
    engine = world.engine()
    while engine.step(identifier):
        with world.store.write() as work:
            operation = work.operations.get(identifier)
            assert operation is not None
            if world.ran.count(step) == 1:
                operation.step = step
                work.operations.save(operation)
    assert world.ran.count(step) == 2
    assert world.see(identifier)[1].private["done"] == ["start", "two", "three"]


def test_a_failure_takes_back_its_own_step_runs_the_undo_and_shows(world: World) -> None:
    identifier = world.begin("fail")
    world.engine().run_due()
    operation, row = world.see(identifier)
    assert operation.status == "Failed"
    assert msgspec.json.decode(operation.error or b"", type=ErrorDetail).code == "Toy"
    assert "half" not in row.private
    assert row.private["undone"] == "Toy"
    assert row.private["failure"] == {"code": "Toy", "message": "It can't be done."}
    assert body_of(row)["properties"]["provisioningState"] == "Failed"


def test_a_newer_operation_takes_the_resource_over(world: World) -> None:
    old, new = world.begin("nap"), world.begin()
    world.engine().run_due()
    assert world.see(old)[0].status == "Canceled"
    assert world.see(new)[0].status == "Succeeded"
    assert "nap" not in world.ran


def test_a_nap_is_woken_by_a_report(world: World) -> None:
    identifier = world.begin("nap")
    engine = world.engine()
    engine.run_due()
    assert engine.run_due() == 0
    with world.store.write() as work:
        assert work.operations.wake(on_report=True) == 1
    assert engine.run_due() == 1
    assert world.see(identifier)[0].status == "InProgress"


def test_past_its_deadline_an_operation_fails_with_the_step_it_was_in(world: World) -> None:
    identifier = world.begin("nap", seconds=-1)
    world.engine().run_due()
    operation, _ = world.see(identifier)
    error = msgspec.json.decode(operation.error or b"", type=ErrorDetail)
    assert (operation.status, error.code) == ("Failed", "OperationTimedOut")
    assert "'nap'" in error.message


def test_a_defect_is_retried_then_fails_with_where_to_look(world: World) -> None:
    identifier = world.begin()
    world.broken_at = "two"
    engine = world.engine()
    for _ in range(MAX_ATTEMPTS):
        with world.store.write() as work:
            work.operations.wake(identifier=identifier)
        engine.run_due()
    operation, _ = world.see(identifier)
    assert operation.status == "Failed"
    assert msgspec.json.decode(operation.error or b"", type=ErrorDetail).code == "InternalOperationError"
    assert world.ran.count("two") == MAX_ATTEMPTS


def test_the_threads_pick_up_what_is_added(world: World) -> None:
    engine = world.engine()
    world.store.on_operation_change = engine.wake
    engine.start()
    identifier = world.begin()
    end = time.monotonic() + 10
    while world.see(identifier)[0].status == "InProgress" and time.monotonic() < end:
        time.sleep(0.01)
    engine.stop()
    assert world.see(identifier)[0].status == "Succeeded"
