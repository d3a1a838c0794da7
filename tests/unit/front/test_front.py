"""What the front answers by itself, and how all else comes to the control plane and back."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from skerry.arm.body import MAX_BYTES
from skerry.front import wire
from skerry.front.app import Front
from skerry.front.keeper import answered
from skerry.front.wire import Answered, Channel, Frame, Ready, Request, Response, Start, Stop, Told


class Routes:
    """Takes every GET for a brief read."""

    def reads(self, scope: Scope) -> bool:
        return bool(scope["method"] == "GET")


async def local(_scope: Scope, _receive: Receive, send: Send) -> None:
    await PlainTextResponse("from here")({"type": "http"}, _receive, send)


def scope(method: str, path: str = "/subscriptions") -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "scheme": "https",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"a=b",
        "headers": [(b"host", b"localhost:1")],
        "client": ("127.0.0.9", 4711),
    }


async def _call(app: Callable[[Scope, Receive, Send], Awaitable[None]], asked: Scope, *parts: bytes) -> list[Message]:
    """What the application sends. After a part GONE the client is that."""
    sent: list[Message] = []
    left = [{"type": "http.request", "body": part, "more_body": at < len(parts) - 1} for at, part in enumerate(parts)]
    if parts == (GONE,):
        left = []

    async def receive() -> Message:
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(asked, receive, send)
    return sent


GONE = b"gone"


def front_with(answer: Callable[[Request], Response]) -> tuple[Front, list[Request]]:
    """A front whose control plane answers like this, a moment later; and what reaches that."""
    handed: list[Request] = []

    def send(frame: Frame) -> None:
        assert isinstance(frame, Request)
        handed.append(frame)
        asyncio.get_running_loop().call_soon(front.answered, answer(frame))

    front = Front(Routes(), local, send)  # type: ignore[arg-type]
    return front, handed


def ok(request: Request) -> Response:
    return Response(request.number, 201, [(b"x", b"y")], b"made " + request.body)


def test_a_brief_read_is_answered_here() -> None:
    front, handed = front_with(ok)
    sent = asyncio.run(_call(front, scope("GET"), b""))
    assert (sent[1]["body"], handed) == (b"from here", [])


def test_all_else_is_handed_on_whole_and_answered() -> None:
    front, handed = front_with(ok)
    sent = asyncio.run(_call(front, scope("PUT"), b"a ", b"vm"))
    assert (sent[0]["status"], sent[0]["headers"], sent[1]["body"]) == (201, [(b"x", b"y")], b"made a vm")
    expected = Request(
        0,
        "https",
        "1.1",
        "PUT",
        "/subscriptions",
        b"/subscriptions",
        b"a=b",
        [(b"host", b"localhost:1")],
        "127.0.0.9",
        b"a vm",
    )
    assert handed == [expected]


def test_answers_find_their_requests_in_any_order() -> None:
    front, handed = front_with(ok)
    front._send = handed.append  # type: ignore[assignment,unused-ignore]

    async def both() -> list[list[Message]]:
        calls = [asyncio.create_task(_call(front, scope("PUT"), body)) for body in (b"1", b"2")]
        while len(handed) < 2:
            await asyncio.sleep(0)
        for request in reversed(handed):
            front.answered(ok(request))
        return await asyncio.gather(*calls)

    assert [sent[1]["body"] for sent in asyncio.run(both())] == [b"made 1", b"made 2"]


def test_of_a_body_without_end_no_more_is_read_than_shows_that() -> None:
    front, handed = front_with(ok)
    asyncio.run(_call(front, scope("PUT"), *[b"x" * (1 << 20)] * (2 * MAX_BYTES >> 20)))
    assert MAX_BYTES < len(handed[0].body) <= MAX_BYTES + (1 << 20)


def test_a_client_that_goes_away_is_nothing_to_hand_on() -> None:
    front, handed = front_with(ok)
    assert (asyncio.run(_call(front, scope("PUT"), GONE)), handed) == ([], [])


def test_an_application_answers_what_was_handed_on() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        assert request.client is not None
        return PlainTextResponse(f"{request.url} {request.client.host} {(await request.body()).decode()}", 202)

    front, handed = front_with(ok)
    asyncio.run(_call(front, scope("PUT", "/x"), b"body"))
    found = asyncio.run(answered(Starlette(routes=[Route("/x", view, methods=["PUT"])]), handed[0]))
    assert (found.number, found.status) == (0, 202)
    assert found.body == b"https://localhost:1/x?a=b 127.0.0.9 body"


FRAMES: list[Frame] = [
    Start("/s", "postgresql://u:p@/n", "https://localhost:1", True),
    Ready(),
    Stop(),
    Request(1, "https", "1.1", "PUT", "/p", b"/p", b"", [(b"a", b"b")], "::1", b"\x00" * 300),
    Response(1, 200, [(b"a", b"b")], b""),
    Told([Answered("GET", "/p", 200, 0.5)], "a line\n"),
]


@given(st.lists(st.sampled_from(FRAMES)), st.integers(1, 400))
def test_frames_arrive_as_they_were_sent_however_they_are_cut(frames: list[Frame], size: int) -> None:
    found: list[Frame] = []
    channel, data = Channel(found.append, lambda: None), b"".join(map(wire.encoded, frames))
    for at in range(0, len(data), size):
        channel.data_received(data[at : at + size])
    assert _comparable(found) == _comparable(frames)


def _comparable(frames: list[Frame]) -> list[bytes]:
    return [wire.encoded(frame) for frame in frames]


def test_the_first_frame_is_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(wire.encoded(FRAMES[0]) + b"more")
        assert wire.first(ours) == FRAMES[0]


def test_a_control_plane_that_gives_up_before_is_no_frame() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(EOFError):
        wire.first(ours)
