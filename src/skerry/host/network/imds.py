"""Azure's instance metadata service (169.254.169.254) as a pure function of a request and the guest's document.

Source: Azure's "Instance Metadata Service" page: `Metadata: true` and an api-version are demanded, requests that
passed a proxy are refused, JSON by default, `format=text` for a leaf or a listing of names.
"""

from collections.abc import Callable
from typing import Any

import orjson

from skerry.host.network.http import Request, Response

VERSIONS = (
    *("2017-03-01", "2017-04-02", "2017-08-01", "2017-10-01", "2017-12-01", "2018-02-01", "2018-04-02", "2018-10-01"),
    *("2019-02-01", "2019-03-11", "2019-04-30", "2019-06-01", "2019-06-04", "2019-08-01", "2019-08-15", "2019-11-01"),
    *("2020-06-01", "2020-07-15", "2020-09-01", "2020-10-01", "2020-12-01", "2021-01-01", "2021-02-01", "2021-03-01"),
    *("2021-05-01", "2021-08-01", "2021-10-01", "2021-11-01", "2021-11-15", "2021-12-13", "2023-07-01", "2023-11-15"),
)
_JSON = "application/json; charset=utf-8"
_MISSING: Any = object()


def answer(request: Request, document: Callable[[], str | None]) -> Response:
    """The answer to a guest; `document` gives its metadata as JSON text, or None if there is no such guest."""
    parts = [part for part in request.path.split("/") if part]
    if parts[:1] != ["metadata"]:
        return _error(404, "Not found")
    refusal = _refuse(request)
    if refusal:
        return refusal
    if parts == ["metadata", "versions"]:
        return _json({"apiVersions": VERSIONS})
    if parts[1:2] != ["instance"]:
        return _error(404, "Not found")
    if request.query.get("api-version") not in VERSIONS:
        return _bad_version()
    return _instance(document(), parts[2:], request.query.get("format", "json"))


def _refuse(request: Request) -> Response | None:
    if request.method != "GET":
        return _error(405, "Method Not Allowed")
    if "x-forwarded-for" in request.headers:
        return _error(400, "Bad request. Requests with the X-Forwarded-For header are not allowed")
    if request.headers.get("metadata", "").lower() != "true":
        return _error(400, "Bad request. Required metadata header not specified")
    return None


def _bad_version() -> Response:
    text = "Bad request. api-version is invalid or was not specified in the request."
    return _json({"error": text, "newest-versions": VERSIONS[:-4:-1]}, 400)


def _instance(text: str | None, path: list[str], form: str) -> Response:
    node = orjson.loads(text) if text else _MISSING
    for part in path:
        node = _child(node, part)
    if node is _MISSING:
        return _error(404, "Not found")
    if form == "text":
        return Response(200, _as_text(node).encode())
    if form != "json":
        return _error(400, "Bad request. The format is not supported; use json or text")
    if not isinstance(node, dict | list):
        return _error(400, "Bad request. The resource is a leaf; use format=text")
    return _json(node)


def _child(node: Any, part: str) -> Any:
    if isinstance(node, dict):
        return node.get(part, _MISSING)
    if isinstance(node, list) and part.isdecimal() and len(part) < 6 and int(part) < len(node):
        return node[int(part)]
    return _MISSING


def _as_text(node: Any) -> str:
    if isinstance(node, dict):
        return "\n".join(f"{name}/" if isinstance(value, dict | list) else name for name, value in node.items())
    if isinstance(node, list):
        return "\n".join(
            f"{number}/" if isinstance(value, dict | list) else str(number) for number, value in enumerate(node)
        )
    if isinstance(node, bool):
        return "true" if node else "false"
    return "" if node is None else str(node)


def _error(status: int, text: str) -> Response:
    return _json({"error": text}, status)


def _json(content: Any, status: int = 200) -> Response:
    return Response(status, orjson.dumps(content), _JSON)
