"""The ASGI application: bounds the body, checks the caller and the api-version, hands on to the routes.

What has a path of ARM's goes past Starlette: its Request, Response and list of routes cost as much as all else that
a GET does (docs/decisions/0010).
"""

from collections.abc import Callable, Mapping, Sequence

import structlog
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from skerry.arm import incoming
from skerry.arm.access import Watched, watch, watched
from skerry.arm.body import MAX_BYTES
from skerry.arm.errors import ArmError
from skerry.arm.registry import check_api_version
from skerry.arm.requests import JSON_TYPE, ArmRequest, ArmResponse, Caller
from skerry.arm.routes import PATHS, Routes
from skerry.store import StoreUnavailable

log = structlog.get_logger()

Authenticate = Callable[[str | None], Caller]
_FIXED_HEADERS = [
    (b"cache-control", b"no-cache"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
]


class TooLarge(ArmError):
    """The body is over the limit."""

    status = 413


class _Gone(Exception):
    """The client went away before its request was there."""


def create_app(
    routes: Routes,
    authenticate: Authenticate,
    extra: Sequence[BaseRoute] = (),
    tell: Callable[[Watched], None] = lambda _request: None,
) -> ASGIApp:
    """The application. `authenticate(Authorization header)` says who calls; raises ArmError when that isn't known.

    `extra` routes need no token: log-in, health, signed links. None of them begins as ARM's paths do.
    `tell` hears of every request at its end.
    """
    arm = _Arm(routes, authenticate)
    others = Starlette(routes=[*extra, Route("/{path:path}", arm)])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        direct = scope["type"] == "http" and scope["path"].startswith(PATHS)
        await (arm if direct else others)(scope, receive, send)

    return watch(app, tell)


class _Arm:
    """Answers every path, as ARM answers."""

    def __init__(self, routes: Routes, authenticate: Authenticate) -> None:
        self._routes, self._authenticate = routes, authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = watched(scope).id
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        try:
            response = await self._answer(scope, headers, receive)
        except ArmError as error:
            response = ArmResponse.error(error)
        except StoreUnavailable as error:
            log.warning("no database", cause=str(error))
            response = ArmResponse.error(_unavailable(error))
        except _Gone:
            return
        except Exception:
            log.exception("request failed")
            response = ArmResponse.error(_internal(request_id))
        raw = _headers(headers, response, request_id)
        await send({"type": "http.response.start", "status": response.status, "headers": raw})
        await send({"type": "http.response.body", "body": response.body})

    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> ArmResponse:
        caller = self._authenticate(headers.get("authorization"))
        request_id = _name(watched(scope), caller, headers)
        query = incoming.query(scope["query_string"])
        check_api_version(query.get("api-version"))
        segments = incoming.segments(scope)
        base = incoming.base_url(scope["scheme"], headers.get("host"))
        body = await _body(receive)
        if body:
            incoming.check_media_type(headers.get("content-type"))
        method, client = scope["method"], scope["client"][0] if scope.get("client") else ""
        request = ArmRequest(method, segments, query, headers, body, base, caller, client, request_id)
        return await self._routes.answer(request)


def _name(request: Watched, caller: Caller, headers: Mapping[str, str]) -> str:
    """Let the log say whose request this is. Returns its id."""
    request.caller = caller.name
    correlation = headers.get("x-ms-correlation-request-id")
    if correlation:
        structlog.contextvars.bind_contextvars(correlation_id=correlation[:128])
    return request.id


async def _body(receive: Receive) -> bytes:
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size > MAX_BYTES:
            raise TooLarge("RequestContentTooLarge", f"The request body is larger than {MAX_BYTES} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


def _headers(request: Mapping[str, str], response: ArmResponse, request_id: str) -> list[tuple[bytes, bytes]]:
    correlation = request.get("x-ms-correlation-request-id") or request_id
    headers = {
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": correlation[:128],
        **response.headers,
    }
    if response.body:
        headers["content-type"] = JSON_TYPE
    if response.status != 204:
        headers["content-length"] = str(len(response.body))
    client = request.get("x-ms-client-request-id")
    if client and request.get("x-ms-return-client-request-id", "").lower() == "true":
        headers["x-ms-client-request-id"] = client[:128]
    return _FIXED_HEADERS + [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers.items()]


def _unavailable(error: StoreUnavailable) -> ArmError:
    return ArmError(
        "ServiceUnavailable",
        f"{error}. Skerry goes on by itself once that is mended. "
        "Send the request again then: a PUT or DELETE that was carried out after all does no harm twice.",
        status=503,
        headers={"Retry-After": "5"},
    )


def _internal(request_id: str) -> ArmError:
    return ArmError(
        "InternalServerError",
        f"Skerry failed to answer; nothing was changed. Its log has the cause under request id {request_id}.",
        status=500,
    )
