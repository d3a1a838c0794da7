"""The least that a Python server can do for the same answers: Starlette and orjson on the same uvicorn.

    python -m bench.bare_server PORT CERT KEY BODIES     BODIES: JSON, path and query → the body's value

It checks no token, reads no database and knows no type; it does encode its answer anew for each request.
"""

import sys
from pathlib import Path

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def app(bodies: dict[str, object]) -> Starlette:
    """Answers each path and query of `bodies`, and 404 for all else."""

    async def answer(request: Request) -> Response:
        value = bodies.get(f"{request.url.path}?{request.url.query}")
        if value is None:
            return Response(status_code=404)
        return Response(orjson.dumps(value), media_type="application/json")

    return Starlette(routes=[Route("/{path:path}", answer)])


def main(port: str, cert: str, key: str, bodies: str) -> None:
    """Serve on 127.0.0.1, set as skerry.server sets its own."""
    uvicorn.run(
        app(orjson.loads(Path(bodies).read_bytes())),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        ssl_certfile=cert,
        ssl_keyfile=key,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
