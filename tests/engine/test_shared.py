"""Two control planes on one PostgreSQL share the operations; either may be killed."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from tests.engine.test_engine import World
from tests.postgresql import Server

from skerry.store import Store

PLANE = """
import signal, sys
from skerry.store import Store
from tests.engine.test_engine import World

store = Store(sys.argv[1])
engine = World(store).engine()
store.on_operation_change = engine.wake
store.watch()
engine.start()
print("runs", flush=True)
signal.pause()
"""
ROOT = Path(__file__).parents[2]


@contextmanager
def plane(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs operations."""
    with subprocess.Popen([sys.executable, "-c", PLANE, url], cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"runs\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def url(postgresql: Server) -> Iterator[str]:
    found = postgresql.prepared()
    yield found
    postgresql.drop(found)


@pytest.fixture
def world(url: str) -> Iterator[World]:
    """A third one, that only begins operations."""
    with closing(Store(url)) as store:
        yield World(store)


def ended(world: World, identifiers: list[str]) -> int:
    return sum(world.see(identifier)[0].status != "InProgress" for identifier in identifiers)


def wait(world: World, identifiers: list[str]) -> None:
    while ended(world, identifiers) < len(identifiers):
        time.sleep(0.01)


def test_either_may_be_killed_and_each_step_runs_once(world: World, url: str) -> None:
    with ExitStack() as stack:
        planes = [stack.enter_context(plane(url)) for _ in range(2)]
        identifiers: list[str] = []
        for killed in planes:
            identifiers += [world.begin(on=f"r{len(identifiers) + number}") for number in range(30)]
            killed.kill()
            if killed is planes[0]:
                wait(world, identifiers)
        stack.enter_context(plane(url))
        wait(world, identifiers)
    for identifier in identifiers:
        operation, row = world.see(identifier)
        assert (operation.status, row.operation) == ("Succeeded", "")
        assert [(entry["step"], entry["times"]) for entry in operation.trace] == [
            ("start", 1),
            ("two", 1),
            ("three", 1),
        ]
