"""The front's ASGI application: brief reads are answered here, all else by the control plane."""

from asyncio import Future, get_running_loop
from collections.abc import Callable
from itertools import count

from starlette.types import ASGIApp, Receive, Scope, Send

from skerry.arm.body import MAX_BYTES
from skerry.arm.routes import Routes
from skerry.front.wire import Frame, Request, Response


class Front:
    """`local` answers what `routes` says is a brief read; `send` is the way to the control plane."""

    def __init__(self, routes: Routes, local: ASGIApp, send: Callable[[Frame], None]) -> None:
        self._routes, self._local, self._send = routes, local, send
        self._numbers = count()
        self._waiting: dict[int, Future[Response]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and self._routes.reads(scope):
            await self._local(scope, receive, send)
        elif scope["type"] == "http":
            await self._hand_on(scope, receive, send)

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _whole(receive)
        if body is None:
            return
        number = next(self._numbers)
        answer = self._waiting[number] = get_running_loop().create_future()
        try:
            self._send(_request(number, scope, body))
            found = await answer
        finally:
            del self._waiting[number]
        await send({"type": "http.response.start", "status": found.status, "headers": found.headers})
        await send({"type": "http.response.body", "body": found.body})

    def answered(self, response: Response) -> None:
        """The control plane's answer is there."""
        answer = self._waiting.get(response.number)
        if answer is not None and not answer.done():
            answer.set_result(response)


def _request(number: int, scope: Scope, body: bytes) -> Request:
    return Request(
        number,
        scope["scheme"],
        scope["http_version"],
        scope["method"],
        scope["path"],
        scope["raw_path"],
        scope["query_string"],
        scope["headers"],
        scope["client"][0] if scope.get("client") else "",
        body,
    )


async def _whole(receive: Receive) -> bytes | None:
    """A request's body; None if the client went away. Of one that is too large, enough to see that."""
    chunks, size, more = [], 0, True
    while more and size <= MAX_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        chunks.append(chunk)
    return b"".join(chunks)
