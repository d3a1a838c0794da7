"""Scripts run by a guest agent that is honest, slow, or hostile."""

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from skerry.host.errors import HostError
from skerry.host.warm.guest_agent import MOST_BYTES, PART_BYTES, GuestAgent

Answer = Callable[[dict[str, Any]], bytes]


@contextmanager
def guest(folder: Path, answer: Answer) -> Iterator[GuestAgent]:
    """A channel to a guest that answers each line with `answer(command)`; an empty answer hangs up."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "qga.sock"))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                text = answer(json.loads(line))
                try:
                    connection.sendall(text)
                except OSError:
                    return
                if not text:
                    return

    thread = threading.Thread(target=serve)
    thread.start()
    with GuestAgent(folder / "qga.sock") as agent:
        yield agent
    thread.join()
    listener.close()


def encoded(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def ended(status: int, out: bytes = b"", err: bytes = b"") -> Answer:
    """A guest whose program takes one poll, then ends like this."""
    polls = iter([{"exited": False}])

    def answer(command: dict[str, Any]) -> bytes:
        match command["execute"]:
            case "guest-sync":
                return b'{"return": {"left": "over"}}\nrubbish\n' + encoded({"return": command["arguments"]["id"]})
            case "guest-exec":
                return encoded({"return": {"pid": 7}})
            case _:
                done: dict[str, Any] = {"exited": True, "exitcode": status}
                done |= {"out-data": base64.b64encode(out).decode(), "err-data": base64.b64encode(err).decode()}
                return encoded({"return": next(polls, done)})

    return answer


def test_a_script_s_output_comes_back(tmp_path: Path) -> None:
    given: list[dict[str, Any]] = []
    honest = ended(0, b"done\n")

    def answer(command: dict[str, Any]) -> bytes:
        given.append(command)
        return honest(command)

    with guest(tmp_path, answer) as agent:
        agent.wait(10)
        assert agent.run("/usr/bin/perl", b"print 1", 10) == "done\n"
    assert given[1]["arguments"]["path"] == "/usr/bin/perl"
    assert base64.b64decode(given[1]["arguments"]["input-data"]) == b"print 1"


def test_a_failing_script_says_why_without_its_control_characters(tmp_path: Path) -> None:
    why = pytest.raises(HostError, match=r"/bin/sh failed in the guest with 3: no  \[31mroom")
    with guest(tmp_path, ended(3, b"", b"no \x1b[31mroom\n")) as agent, why:
        agent.run("/bin/sh", b"", 10)


def test_a_status_may_be_left_alone(tmp_path: Path) -> None:
    with guest(tmp_path, ended(1, b"degraded\n")) as agent:
        assert agent.run("/bin/sh", b"", 10, check=False) == "degraded\n"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"error": {"class": "CommandNotFound"}}\n',
        b'{"return": 7}\n',
        b"x" * (MOST_BYTES + 1),
    ],
)
def test_what_makes_no_sense_is_a_failure(tmp_path: Path, text: bytes) -> None:
    with guest(tmp_path, lambda _command: text) as agent, pytest.raises(HostError, match="guest agent"):
        agent.run("/bin/sh", b"", 2)


def resident(told: list[bytes], outcome: bytes) -> Answer:
    """A guest in which an interpreter takes parameters and writes `outcome`, a little late."""
    left = [b"", outcome]

    def answer(command: dict[str, Any]) -> bytes:
        given = command["arguments"]
        match command["execute"]:
            case "guest-file-open":
                return encoded({"return": 1 if given["path"].endswith("parameters") else 2})
            case "guest-file-write":
                told.append(base64.b64decode(given["buf-b64"]))
                return encoded({"return": {"count": len(told[-1])}})
            case "guest-file-read":
                assert given["handle"] == 2
                first = left.pop(0) if len(left) > 1 else left[0]
                part = first[: given["count"]]
                left[0] = left[0][len(part) :] if len(left) == 1 and first else left[0]
                return encoded({"return": {"buf-b64": base64.b64encode(part).decode()}})
            case _:
                return encoded({"return": {}})

    return answer


def test_who_waits_in_a_template_is_told_everything(tmp_path: Path) -> None:
    told: list[bytes] = []
    with guest(tmp_path, resident(told, b"done\n")) as agent:
        agent.tell(b"x" * 40_000, 10)
    assert b"".join(told) == b"x" * 40_000
    assert max(map(len, told)) <= PART_BYTES


def test_what_it_says_of_a_failure_comes_back(tmp_path: Path) -> None:
    why = pytest.raises(HostError, match="could not be made its own: /home/me: No space left")
    with guest(tmp_path, resident([], b"/home/me: No space left\n")) as agent, why:
        agent.tell(b"", 10)


def test_who_says_nothing_is_given_up(tmp_path: Path) -> None:
    with guest(tmp_path, resident([], b"")) as agent, pytest.raises(HostError, match="nothing in time"):
        agent.tell(b"", 0.2)


def test_an_agent_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with guest(tmp_path, lambda _command: b"[]\n") as agent, pytest.raises(HostError, match="did not answer"):
        agent.wait(1.5)
