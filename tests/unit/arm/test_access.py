"""Each request leaves one line, which never holds its query."""

import asyncio
from typing import Any

import pytest
import structlog
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from skerry.arm.access import Watched, watch, watched


async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
    """204, by someone; what it logs has the request's id."""
    watched(scope).caller = "me"
    if scope["path"] == "/broken":
        raise RuntimeError
    structlog.get_logger().info("inside")
    await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def told() -> list[Watched]:
    return []


@pytest.fixture
def logged(told: list[Watched]) -> Any:
    """Asks for paths; the log's lines."""

    def run(*paths: str) -> list[Any]:
        with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
            client = TestClient(watch(answer, told.append), raise_server_exceptions=False)
            for path in paths:
                client.get(path)
        return lines

    return run


def test_a_line_says_who_what_and_how(logged: Any, told: list[Watched]) -> None:
    inside, line = logged("/some/where?sig=secret&se=1")
    assert (line["event"], line["method"], line["path"], line["status"]) == ("request", "GET", "/some/where", 204)
    assert line["caller"] == "me"
    assert line["ms"] >= 0
    assert inside["request_id"] == line["request_id"] == told[0].id
    assert "secret" not in str(line)


def test_health_is_quiet_and_the_next_request_has_its_own_id(logged: Any) -> None:
    lines = [line for line in logged("/healthz", "/a", "/b") if line["event"] == "request"]
    assert [line["path"] for line in lines] == ["/a", "/b"]
    assert lines[0]["request_id"] != lines[1]["request_id"]


def test_what_breaks_is_told_as_well(logged: Any, told: list[Watched]) -> None:
    (line,) = logged("/broken")
    assert (line["status"], told[0].status) == (0, 0)


def test_a_long_path_is_cut(logged: Any) -> None:
    assert len(logged("/" + "x" * 5000)[-1]["path"]) <= 500
