"""The engine on a toy type: hops, naps, failures, preemption, deadlines, and a process that dies at any step."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
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
from skerry.store import LONGEST_NAP, OperationRow, Operations, Origin, ResourceRow, Store, UnitOfWork


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
        steps["odd"] = self._odd
        kind = OperationKind("toy", steps, on_failure=self._undo)
        installation = Installation("sub", "tenant", "https://localhost:1", Secrets(bytes(32)))
        self.arguments = (store, ResourceService(Registry([], []), installation, Gateway()), {"toy": kind})

    def engine(self) -> Engine:
        """A new process's engine."""
        return Engine(*self.arguments)

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
        return Nap(1000, "h")

    def _fail(self, context: StepContext) -> Outcome:
        context.row.private["half"] = True
        context.work.resources.save(context.row)
        raise OperationFailed("Toy", "It can't be done.")

    def _odd(self, context: StepContext) -> Outcome:
        context.row.private["half"] = True
        context.work.resources.save(context.row)
        context.operation.state["half"] = True
        context.work.connection.exec_driver_sql("SELECT * FROM nowhere")
        raise AssertionError("the database has no such table")

    def _undo(self, context: StepContext, error: ErrorDetail) -> None:
        if self.broken_at == "undo":
            raise RuntimeError("a defect")
        context.row.private["undone"] = error.code
        context.work.resources.save(context.row)

    def begin(self, step: str = "start", seconds: float = 1000, on: str = "a") -> str:
        """A new operation on a resource, made if needed."""
        with self.store.write() as work:
            row = work.resources.get(on) or ResourceRow(on, f"/{on.upper()}", "t", "g", on, b'{"properties":{}}')
            operation = new_operation(row, "toy", step=step, seconds=seconds)
            work.resources.save(row)
            work.operations.add(operation)
        return operation.id

    def see(self, identifier: str) -> tuple[OperationRow, ResourceRow]:
        """The operation and its resource."""
        with self.store.read() as work:
            operation = work.operations.get(identifier)
            assert operation is not None
            row = work.resources.get(operation.target)
        assert row is not None
        return operation, row


@pytest.fixture
def world(database: str | Path) -> Iterator[World]:
    store = Store(database)
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
    engine = world.engine()
    with pytest.raises(Killed):
        while engine.step(identifier):
            pass
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
        assert work.operations.wake(host="h") == 1
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


def test_a_process_killed_in_a_batch_leaves_nothing_of_any_of_it(world: World) -> None:
    begun = [world.begin(on="r1"), world.begin("two", on="r2")]
    world.kill_at = "three"
    with pytest.raises(Killed):
        world.engine().run_due()
    assert [world.see(identifier)[1].private for identifier in begun] == [{}, {}]
    world.engine().run_due()
    assert [world.see(identifier)[0].status for identifier in begun] == ["Succeeded"] * 2


def test_many_operations_share_a_transaction(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = [world.begin(on=f"r{number}") for number in range(5)]
    transactions = []
    write = world.store.write

    def counted() -> AbstractContextManager[UnitOfWork]:
        transactions.append(1)
        return write()

    monkeypatch.setattr(world.store, "write", counted)
    assert world.engine().run_due() == 5
    assert len(transactions) == 1
    assert [world.see(identifier)[0].status for identifier in begun] == ["Succeeded"] * 5


def test_a_step_that_raises_is_taken_back_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skerry.engine.engine.BUSY_SECONDS", 60)  # showing the traceback takes its time
    before, odd, after = world.begin(on="r1"), world.begin("odd", on="r2"), world.begin(on="r3")
    world.engine().run_due()
    operation, row = world.see(odd)
    assert (operation.status, operation.state) == ("InProgress", {"attempts": 1})
    assert "half" not in row.private
    assert [world.see(identifier)[0].status for identifier in (before, after)] == ["Succeeded"] * 2


def test_a_long_transaction_leaves_the_rest_to_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skerry.engine.engine.BUSY_SECONDS", -1)
    begun, engine = [world.begin(on=name) for name in ("r1", "r2", "r3")], world.engine()
    for done in (1, 2, 3):
        assert engine.run_due() == 4 - done
        assert [world.see(identifier)[0].status for identifier in begun].count("Succeeded") == done


def test_what_cannot_be_stored_keeps_nothing_else_from_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fine, bad = world.begin(on="r1"), world.begin(on="r2")
    save = Operations.save

    def refuse(self: Operations, row: OperationRow) -> None:
        if row.id == bad and "attempts" not in row.state:
            raise OSError("no")
        save(self, row)

    monkeypatch.setattr(Operations, "save", refuse)
    world.engine().run_due()
    assert world.see(fine)[0].status == "Succeeded"
    assert world.see(bad)[0].state == {"attempts": 1}


def test_an_undo_that_fails_is_tried_again(world: World) -> None:
    identifier = world.begin("fail")
    world.broken_at = "undo"
    world.engine().run_due()
    assert world.see(identifier)[0].status == "InProgress"
    world.broken_at = ""
    with world.store.write() as work:
        work.operations.wake(identifier=identifier)
    world.engine().run_due()
    operation, row = world.see(identifier)
    assert (operation.status, row.private["undone"]) == ("Failed", "Toy")


def test_a_clock_that_was_set_back_stalls_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    identifier, engine, now = world.begin("nap", seconds=100), world.engine(), time.time()
    engine.run_due()
    monkeypatch.setattr("skerry.engine.engine.time.time", lambda: now - 3600)
    assert engine.run_due() == 1
    operation, _ = world.see(identifier)
    assert operation.resume_at == now - 3600 + LONGEST_NAP
    assert operation.deadline < now - 3600 + 101
    monotonic = time.monotonic()
    monkeypatch.setattr("skerry.engine.engine.time.monotonic", lambda: monotonic + 102)
    monkeypatch.setattr("skerry.engine.engine.time.time", lambda: now - 3600 + 102)
    with world.store.write() as work:
        work.operations.wake(identifier=identifier)
    engine.run_due()
    assert world.see(identifier)[0].status == "Failed"


def test_a_clock_that_was_set_on_takes_no_time_from_what_is_under_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, engine, now = world.begin("nap", seconds=100), world.engine(), time.time()
    engine.run_due()
    monkeypatch.setattr("skerry.engine.engine.time.time", lambda: now + 3600)
    engine.run_due()
    operation, _ = world.see(old)
    assert operation.status == "InProgress"
    assert now + 3600 < operation.deadline < now + 3702


def test_the_steps_taken_are_remembered_and_told(world: World) -> None:
    identifier, engine = world.begin("nap"), world.engine()
    steps: list[tuple[str, str, str]] = []
    ended: list[tuple[str, str]] = []
    engine.on_step = lambda kind, step, _seconds, outcome: steps.append((kind, step, outcome))
    engine.on_end = lambda _work, operation: ended.append((operation.id, operation.status))
    for _ in range(3):
        engine.run_due()
        with world.store.write() as work:
            work.operations.wake(identifier=identifier)
    with world.store.write() as work:
        operation = work.operations.get(identifier)
        assert operation is not None
        operation.step = "two"
        work.operations.save(operation)
    engine.run_due()
    trace = world.see(identifier)[0].trace
    assert [(entry["step"], entry["outcome"], entry["times"]) for entry in trace] == [
        ("nap", "nap", 3),
        ("two", "hop", 1),
        ("three", "done", 1),
    ]
    assert steps == [("toy", "nap", "nap")] * 3 + [("toy", "two", "hop"), ("toy", "three", "done")]
    assert ended == [(identifier, "Succeeded")]


def test_steps_act_on_behalf_of_who_began_the_operation(world: World) -> None:
    origin = Origin("request", "correlation", "me")
    seen = []
    with world.store.write() as work:
        work.origin = origin
        row = ResourceRow("a", "/A", "t", "g", "a", b'{"properties":{}}')
        operation = new_operation(row, "toy", step="three", seconds=10)
        work.resources.save(row)
        work.operations.add(operation)
    engine = world.engine()
    engine.on_end = lambda work, _operation: seen.append(work.origin)
    engine.run_due()
    assert seen == [origin]


def test_two_control_planes_run_nothing_twice(database: str | Path) -> None:
    worlds = [World(Store(database)) for _ in range(2)]
    engines = [Engine(*world.arguments, idle_seconds=0.01) for world in worlds]
    for engine in engines:
        engine.start()
    begun = [worlds[number % 2].begin(on=f"r{number}") for number in range(40)]
    end = time.monotonic() + 30
    while any(worlds[0].see(identifier)[0].status == "InProgress" for identifier in begun) and time.monotonic() < end:
        time.sleep(0.01)
    for engine, world in zip(engines, worlds, strict=True):
        engine.stop()
        world.store.close()
    ran = worlds[0].ran + worlds[1].ran
    assert [ran.count(step) for step in ("start", "two", "three")] == [40, 40, 40]
