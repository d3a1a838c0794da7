"""Routes that need no token: health, the image alias document, and signed links to serial logs."""

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from skerry import __version__
from skerry.arm.errors import ArmError
from skerry.arm.secrets import Secrets
from skerry.hostspec.client import HostGateway

SERIAL = "/skerry/serial/{vm}"
_NO_PAGE = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox; default-src 'none'"}


def open_routes(secrets: Secrets, gateway: HostGateway, aliases: Callable[[], dict[str, Any]]) -> list[Route]:
    """The routes; `aliases` makes the alias document."""

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": __version__})

    async def alias_document(_request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(aliases))

    async def serial(request: Request) -> Response:
        query = request.query_params
        try:
            secrets.check(request.url.path, query.get("se", ""), query.get("sig", ""))
        except ArmError as error:
            return JSONResponse({"error": {"code": error.code, "message": error.message}}, error.status)
        log = await run_in_threadpool(gateway.serial_log, request.path_params["vm"])
        # The guest wrote this: never let a browser take it for a page.
        return PlainTextResponse(log or b"", headers=_NO_PAGE)

    return [
        Route("/healthz", health),
        Route("/images/aliases.json", alias_document),
        Route(SERIAL, serial),
    ]
