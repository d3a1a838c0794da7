"""One job per key, pauses after failures."""

import threading
from collections.abc import Iterator

import pytest

from skerry.host.errors import HostError
from skerry.host.jobs import FIRST_PAUSE, LONGEST_PAUSE, Jobs

KEY = ("vm", "a")


class Bench:
    """Jobs with a clock that is set by hand; `settle` waits for the job just submitted."""

    def __init__(self) -> None:
        self.now = 0.0
        self.done = threading.Event()
        self.jobs = Jobs("test", self.done.set, lambda: self.now)
        self.runs = 0

    def submit(self, given: str = "spec", fail: bool = True) -> bool:
        """Whether it ran."""
        before = self.runs
        self.done.clear()
        self.jobs.submit(KEY, given, self._fail if fail else self._succeed)
        if self.jobs.busy(KEY) or self.runs > before:
            assert self.done.wait(20)
        return self.runs > before

    def _fail(self) -> None:
        self.runs += 1
        raise HostError("no luck")

    def _succeed(self) -> None:
        self.runs += 1


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.jobs.close()


def test_a_failure_pauses_longer_each_time(bench: Bench) -> None:
    pause = FIRST_PAUSE
    for _ in range(8):
        assert bench.submit()
        assert not bench.submit()
        bench.now += pause * 0.99
        assert not bench.submit()
        bench.now += pause
        pause = min(pause * 2, LONGEST_PAUSE)
    assert bench.jobs.problems() == [("vm", "a", "no luck")]


def test_what_failed_is_tried_soon_after_an_order(bench: Bench) -> None:
    for _ in range(8):
        assert bench.submit()
        bench.now += LONGEST_PAUSE
    assert bench.submit()
    bench.jobs.hurry()
    assert not bench.submit()
    bench.now += FIRST_PAUSE
    assert bench.submit()
    bench.now += FIRST_PAUSE
    assert not bench.submit()


def test_another_input_is_tried_at_once_and_success_clears(bench: Bench) -> None:
    assert bench.submit()
    assert bench.submit("changed spec", fail=False)
    assert bench.jobs.problem(KEY) is None


def test_failures_of_what_is_not_due_any_more_are_dropped(bench: Bench) -> None:
    bench.submit()
    bench.jobs.keep_failures({KEY})
    assert bench.jobs.problem(KEY) == "no luck"
    bench.jobs.keep_failures(set())
    assert bench.jobs.problem(KEY) is None


def test_a_busy_key_takes_no_second_job_and_others_go_on() -> None:
    done = threading.Semaphore(0)
    jobs = Jobs("test", done.release)
    gate = threading.Event()
    ran: list[str] = []
    jobs.submit(("vm", "slow"), 1, lambda: ran.append("slow") if gate.wait(20) else None)
    jobs.submit(("vm", "slow"), 1, lambda: ran.append("never"))
    jobs.submit(("disk", "b"), 1, lambda: ran.append("b"))
    assert done.acquire(timeout=20)
    assert (ran, jobs.busy(("vm", "slow")), jobs.any_busy("disk")) == (["b"], True, False)
    gate.set()
    assert done.acquire(timeout=20)
    jobs.close()
    assert ran == ["b", "slow"]


def test_an_unexpected_error_is_a_problem_too(bench: Bench) -> None:
    bench.done.clear()
    bench.jobs.submit(KEY, "spec", lambda: print(1 // 0))
    assert bench.done.wait(20)
    assert bench.jobs.problem(KEY) == "ZeroDivisionError: integer division or modulo by zero"
