"""Watches every HTTP request: gives it its id, times it, and tells how it went."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

QUIET = ("/healthz", "/metrics")  # asked again and again by machines
_LONGEST_PATH = 500


@dataclass
class Watched:
    """One request, as `watched(scope)` has it: who answers it says whose it is. No query: signed links have secrets."""

    method: str
    path: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    caller: str = ""
    status: int = 0  # 0: the client went away, or nobody answered
    seconds: float = 0.0


def watched(scope: Scope) -> Watched:
    """The request that a scope is of."""
    found: Watched = scope["skerry"]
    return found


def watch(app: ASGIApp, tell: Callable[[Watched], None]) -> ASGIApp:
    """The same application, with a line in the log for each request; `tell` hears of it at its end."""

    # Bound once: most of what a line costs is finding out how to write it.
    say = log.bind().info

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request = scope["skerry"] = Watched(scope["method"], scope["path"])
        began = time.perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request.id)
        try:
            await app(scope, receive, sending)
        finally:
            request.seconds = time.perf_counter() - began
            if request.path not in QUIET or request.status >= 400:
                _write(say, request)
            tell(request)

    return watching


def _write(say: Callable[..., None], request: Watched) -> None:
    say(
        "request",
        method=request.method,
        path=request.path[:_LONGEST_PATH],
        status=request.status,
        ms=round(request.seconds * 1000, 2),
        caller=request.caller,
    )
