"""The ASGI application: bounds the body, checks the caller and the api-version, hands on to the routes."""

import uuid
from collections.abc import Callable, Sequence

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from skerry.arm.body import MAX_BYTES
from skerry.arm.errors import ArmError
from skerry.arm.ids import split_path
from skerry.arm.registry import check_api_version
from skerry.arm.requests import JSON_TYPE, ArmRequest, ArmResponse, Caller
from skerry.arm.routes import Routes

log = structlog.get_logger()

Authenticate = Callable[[str | None], Caller]
METHODS = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"]


class TooLarge(ArmError):
    """The body is over the limit."""

    status = 413


def create_app(routes: Routes, authenticate: Authenticate, extra: Sequence[BaseRoute] = ()) -> Starlette:
    """The application. `authenticate(Authorization header)` says who calls; raises ArmError when that isn't known.

    `extra` routes come first and need no token: log-in, health, signed links.
    """

    async def arm(request: Request) -> Response:
        request_id = str(uuid.uuid4())
        try:
            response = await _answer(request, request_id)
        except ArmError as error:
            response = ArmResponse.error(error)
        except Exception:
            log.exception("request failed", request_id=request_id, method=request.method, path=request.url.path)
            response = ArmResponse.error(_internal(request_id))
        return _reply(request, response, request_id)

    async def _answer(request: Request, request_id: str) -> ArmResponse:
        caller = authenticate(request.headers.get("authorization"))
        query = {name.lower(): value for name, value in request.query_params.items()}
        check_api_version(query.get("api-version"))
        body = await _body(request)
        segments = tuple(split_path(request.url.path))
        base = f"{request.url.scheme}://{request.url.netloc}"
        client = request.client.host if request.client else ""
        found = ArmRequest(request.method, segments, query, request.headers, body, base, caller, client, request_id)
        return await run_in_threadpool(routes.handle, found)

    return Starlette(routes=[*extra, Route("/{path:path}", arm, methods=METHODS)])


async def _body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BYTES:
            raise TooLarge("RequestContentTooLarge", f"The request body is larger than {MAX_BYTES} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


def _reply(request: Request, response: ArmResponse, request_id: str) -> Response:
    correlation = request.headers.get("x-ms-correlation-request-id") or request_id
    headers = {
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": correlation[:128],
        "cache-control": "no-cache",
        "strict-transport-security": "max-age=31536000; includeSubDomains",
        "x-content-type-options": "nosniff",
        **response.headers,
    }
    client = request.headers.get("x-ms-client-request-id")
    if client and request.headers.get("x-ms-return-client-request-id", "").lower() == "true":
        headers["x-ms-client-request-id"] = client[:128]
    media = JSON_TYPE if response.body else None
    return Response(response.body, response.status, headers, media)


def _internal(request_id: str) -> ArmError:
    return ArmError(
        "InternalServerError",
        f"Skerry failed to answer; nothing was changed. Its log has the cause under request id {request_id}.",
        status=500,
    )
