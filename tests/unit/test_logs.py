import asyncio
import json
import logging
from collections.abc import Iterator
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
