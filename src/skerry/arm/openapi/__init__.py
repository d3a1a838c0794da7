"""The OpenAPI 3.1 document of a registry: `/openapi.json`. Made from the descriptors, so that it can't fall behind."""

from functools import cache

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from skerry.arm.openapi.document import openapi
from skerry.arm.registry import Registry

__all__ = ["document_route", "openapi"]
PATH = "/openapi.json"


def document_route(registry: Registry, version: str) -> Route:
    """Serves the document, which says nothing of this installation: it needs no token."""

    @cache
    def text() -> bytes:
        return orjson.dumps(openapi(registry, version))

    async def answer(_request: Request) -> Response:
        return Response(text(), media_type="application/json", headers={"cache-control": "public, max-age=300"})

    return Route(PATH, answer, methods=["GET"])
