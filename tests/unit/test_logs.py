import asyncio
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog

from skerry import logs
from skerry.host.errors import HostError

SECRET = "Planted-Secret-1"


@pytest.fixture(autouse=True)
def configured(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    before = logging.getLogger().handlers[:]
    logs.configure()
    yield
    structlog.reset_defaults()
    logging.basicConfig(handlers=before, force=True)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_hostile_text_makes_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    said = 'x\n{"event": "forged"}\r\x1b]0;title\x07\x9b2J\u202e\u2028'
    structlog.get_logger().info("guest said", message=said)
    written = capsys.readouterr().out
    assert written.count("\n") == 1
    assert written.rstrip("\n").isascii()
    assert written.rstrip("\n").isprintable()
    assert json.loads(written)["message"] == said


def fail(kind: type[Exception], words: str) -> None:
    body = {"adminPassword": SECRET}
    raise kind(words) if body else kind()


@pytest.mark.parametrize("kind", [ValueError, KeyError, RuntimeError, Exception])
def test_a_traceback_has_the_place_and_no_values(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        fail(kind, f"not {SECRET}")
    except kind:
        structlog.get_logger().exception("request failed")
    (line,) = lines(capsys)
    assert "in fail" in line["exception"]
    assert kind.__name__ in line["exception"]
    assert SECRET not in str(line)


def test_what_speaks_carefully_is_heard_with_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        try:
            fail(ValueError, SECRET)
        except ValueError as error:
            raise HostError("qemu-img is not installed") from error
    except HostError:
        structlog.get_logger().exception("step failed")
    (line,) = lines(capsys)
    assert "qemu-img is not installed" in line["exception"]
    assert "caused by" in line["exception"]
    assert SECRET not in str(line)


def test_other_libraries_write_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    try:
        fail(ValueError, SECRET)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    loop = asyncio.new_event_loop()
    loop.call_exception_handler({"message": "Task exception was never retrieved", "exception": KeyError(SECRET)})
    loop.close()
    found = lines(capsys)
    assert [line["level"] for line in found] == ["error", "error"]
    assert SECRET not in str(found)


def test_a_line_begins_with_time_level_and_event(capsys: pytest.CaptureFixture[str]) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r"):
        structlog.get_logger().warning("news", vm="v")
    (line,) = lines(capsys)
    assert list(line)[:3] == ["time", "level", "event"]
    assert (line["level"], line["event"], line["vm"], line["request_id"]) == ("warning", "news", "v", "r")


def test_no_value_is_endless_and_none_loses_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger().info("long", text="x" * 100_000, number=1 << 100, half="\ud800", key={1: b"\xff"})
    (line,) = lines(capsys)
    assert len(line["text"]) < 10_000
    assert line["number"] == 1 << 100


def test_a_thread_that_ends_badly_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    thread = threading.Thread(target=fail, args=(ValueError, SECRET), name="worker")
    thread.start()
    thread.join()
    (line,) = lines(capsys)
    assert (line["thread"], line["level"]) == ("worker", "error")
    assert SECRET not in str(line)


def test_on_a_terminal_lines_are_readable_and_steer_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    logs.configure()
    structlog.get_logger().info("guest said", message="\x1b]0;title\x07hello")
    written = capsys.readouterr().out
    assert "guest said" in written
    assert "hello" in written
    assert not written.startswith("{")
    assert "\x1b]" not in written


def test_a_full_disk_loses_lines_and_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr(sys, "stdout", full)
        logs.configure()
        structlog.get_logger().warning("lost")
        logging.getLogger("somebody").warning("lost")
        monkeypatch.undo()
        with suppress(OSError):
            full.close()
