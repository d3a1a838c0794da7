"""Sending a guest's memory to a receiver: what a QEMU is told that is busy, fails, or is slow to finish."""

from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any, cast

import pytest

from skerry.host.checkpoints.sending import MOST_PASSES, PATIENCE, go_on, send
from skerry.host.compute.qemu.qmp import Event, Monitor
from skerry.host.errors import HostError


class Qemu:
    """A QEMU whose guest leaves little after `passes`; `fails`: the command that is refused."""

    def __init__(self, passes: int = 1, fails: str = "") -> None:
        self.passes, self.fails = passes, fails
        self.events: SimpleQueue[Event] = SimpleQueue()
        self.asked: list[str] = []
        self.limits: list[int] = []
        self.state, self.run = "none", "running"
        self.pass_, self.clock, self.unready = 0, 0, 2

    def execute(self, command: str, arguments: Mapping[str, Any] | None = None) -> object:
        if command == self.fails:
            raise HostError(f"QEMU refused {command}")
        match command:
            case "query-migrate":
                return self._progress()
            case "migrate-set-parameters":
                self.limits.append((arguments or {})["downtime-limit"])
            case "migrate":
                self.state = "active"
            case "migrate-continue":
                self._reach("completed", "postmigrate")
            case "migrate_cancel":
                self.state = "cancelled"
            case "cont":
                self.unready -= 1
                if self.state == "completed" and self.unready > 0:
                    raise HostError("QEMU refused cont: Migration is not finalized yet")
                self.run = "running"
                self._tell("RESUME")
        if not command.startswith("query"):
            self.asked.append(command)
        return {}

    def status(self) -> str:
        return self.run

    def _progress(self) -> dict[str, Any]:
        if self.state == "active":
            self.pass_ += 1
            if self.pass_ >= self.passes:
                self._tell("STOP")
                self._reach("pre-switchover", "paused")
        return {"status": self.state, "error-desc": "no room", "ram": {"dirty-sync-count": self.pass_}}

    def _reach(self, state: str, run: str) -> None:
        self.state, self.run = state, run
        self._tell("MIGRATION", status=state)

    def _tell(self, name: str, **data: str) -> None:
        self.clock += 1
        self.events.put({"event": name, "data": data, "timestamp": {"seconds": self.clock, "microseconds": 500000}})

    def send(self, still: Any = lambda: None) -> float:
        return send(cast(Monitor, self), self.events, [], still)


def test_the_guest_stands_still_only_for_the_rest() -> None:
    qemu, run = Qemu(), []
    assert qemu.send(lambda: run.append(qemu.run)) == 3
    assert (run, qemu.run) == (["paused"], "running")
    assert qemu.asked[-3:] == ["migrate", "migrate-continue", "cont"]


def test_a_busy_guest_may_stand_still_longer_and_longer() -> None:
    qemu = Qemu(passes=PATIENCE[-1][0] + 2)
    qemu.send()
    assert qemu.limits == [limit for _, limit in PATIENCE]


def test_a_guest_that_never_has_little_left_is_let_go_on() -> None:
    qemu = Qemu(passes=1000)
    with pytest.raises(HostError, match=f"after {MOST_PASSES + 1} passes"):
        qemu.send()
    assert (qemu.state, qemu.run) == ("cancelled", "running")


@pytest.mark.parametrize("fails", ["migrate", "migrate-continue"])
def test_whatever_fails_the_guest_goes_on(fails: str) -> None:
    qemu = Qemu(fails=fails)
    with pytest.raises(HostError, match=fails):
        qemu.send()
    assert (qemu.state in ("none", "cancelled"), qemu.run) == (True, "running")


def test_disks_that_do_not_change_over_end_it() -> None:
    qemu = Qemu()
    with pytest.raises(ZeroDivisionError):
        qemu.send(lambda: 1 / 0)
    assert (qemu.state, qemu.run) == ("cancelled", "running")


def test_a_receiver_that_dies_is_told() -> None:
    qemu = Qemu(passes=1000)

    def die() -> object:
        qemu.state = "failed"
        return {"status": "failed", "error-desc": "Broken pipe"}

    qemu._progress = die  # type: ignore[assignment,method-assign]
    with pytest.raises(HostError, match="Broken pipe"):
        qemu.send()
    assert qemu.run == "running"


@pytest.mark.parametrize(
    "state, run", [("pre-switchover", "paused"), ("completed", "postmigrate"), ("none", "running")]
)
def test_a_later_skerry_lets_it_go_on_from_anywhere(state: str, run: str) -> None:
    qemu = Qemu()
    qemu.state, qemu.run = state, run
    go_on(cast(Monitor, qemu))
    assert qemu.run == "running"
    assert ("cont" in qemu.asked) is (run != "running")
