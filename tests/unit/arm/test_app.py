"""The ASGI side: what reaches the routes, what goes back, and what is answered before."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from skerry.arm.app import create_app
from skerry.arm.errors import ArmError, NotFound
from skerry.arm.requests import ArmRequest, ArmResponse
from skerry.identity.principals import Principal

USER = Principal("User", "an-object", "a-tenant", "me", "a-client")


class Routes:
    """Keeps the request, and answers as told."""

    def __init__(self, respond: Callable[[ArmRequest], ArmResponse]) -> None:
        self.respond, self.request = respond, None  # type: Callable[[ArmRequest], ArmResponse], ArmRequest | None

    async def answer(self, request: ArmRequest) -> ArmResponse:
        self.request = request
        return self.respond(request)


def authenticate(header: str | None) -> Principal:
    if header != "Bearer good":
        raise ArmError("AuthenticationFailed", "no", status=401)
    return USER


def application(routes: Routes) -> ASGIApp:
    async def health(_request: object) -> PlainTextResponse:
        return PlainTextResponse("ok")

    return create_app(routes, authenticate, [Route("/healthz", health)])  # type: ignore[arg-type]


VERSION = b"api-version=2024-01-01"


def call(
    app: ASGIApp, path: str, *parts: bytes, method: str = "GET", query: bytes = VERSION, **headers: str
) -> tuple[list[Message], Mapping[str, str]]:
    """The messages that the application sends, and the headers of its answer. After a part GONE the client is that."""
    given = {"authorization": "Bearer good", "host": "localhost:8443", **headers}
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "scheme": "https",
        "client": ("127.0.0.1", 5000),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
    }
    incoming: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    incoming.append({"type": "http.request", "body": b"", "more_body": False})
    if parts and parts[-1] == b"GONE":
        incoming[-2:] = [{"type": "http.disconnect"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        await app(scope, receive, send)

    asyncio.run(run())
    found = {name.decode(): value.decode() for message in sent[:1] for name, value in message["headers"]}
    return sent, found


def test_the_routes_get_the_request_whole() -> None:
    routes = Routes(lambda _request: ArmResponse(200, b"{}"))
    call(application(routes), "/subscriptions/S//x", b"{", b"}", method="PUT", query=b"API-Version=2024-01-01&$top=5")
    request = routes.request
    assert request is not None
    assert (request.method, request.segments, request.body) == ("PUT", ("subscriptions", "S", "x"), b"{}")
    assert request.query == {"api-version": "2024-01-01", "$top": "5"}
    assert (request.base_url, request.client, request.caller) == ("https://localhost:8443", "127.0.0.1", USER)


def test_an_answer_has_ids_and_its_length() -> None:
    app = application(Routes(lambda _request: ArmResponse(200, b'{"a":1}', {"Location": "there"})))
    sent, headers = call(
        app,
        "/subscriptions",
        x_ms_correlation_request_id="ours",
        x_ms_client_request_id="mine",
        x_ms_return_client_request_id="true",
    )
    assert (sent[0]["status"], sent[1]["body"]) == (200, b'{"a":1}')
    assert headers["content-length"] == "7"
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert (headers["x-ms-correlation-request-id"], headers["x-ms-client-request-id"]) == ("ours", "mine")
    assert (headers["location"], headers["cache-control"]) == ("there", "no-cache")
    assert headers["x-ms-request-id"] != "ours"


def test_an_answer_without_a_body_has_no_type_and_204_no_length() -> None:
    _, headers = call(application(Routes(lambda _request: ArmResponse(204))), "/subscriptions")
    assert not {"content-length", "content-type"} & headers.keys()
    _, headers = call(application(Routes(lambda _request: ArmResponse(202))), "/subscriptions")
    assert headers["content-length"] == "0"


def test_refusals_and_failures_are_answers() -> None:
    def refuse(_request: ArmRequest) -> ArmResponse:
        raise NotFound("Nothing", "There is nothing.")

    def fail(_request: ArmRequest) -> ArmResponse:
        raise RuntimeError("a defect")

    sent, _ = call(application(Routes(refuse)), "/subscriptions")
    assert (sent[0]["status"], b'"Nothing"' in sent[1]["body"]) == (404, True)
    sent, headers = call(application(Routes(fail)), "/subscriptions")
    assert sent[0]["status"] == 500
    assert headers["x-ms-request-id"].encode() in sent[1]["body"]
    assert b"a defect" not in sent[1]["body"]


@pytest.mark.parametrize("path", ["/subscriptions", "/providers", "/tenants", "/elsewhere", "/"])
def test_no_path_is_answered_without_a_token(path: str) -> None:
    routes = Routes(lambda _request: ArmResponse(200, b"{}"))
    sent, _ = call(application(routes), path, authorization="Bearer bad")
    assert sent[0]["status"] == 401
    assert routes.request is None


def test_open_routes_need_none() -> None:
    sent, _ = call(application(Routes(lambda _request: ArmResponse(204))), "/healthz", authorization="")
    assert sent[0]["status"] == 200


def test_who_goes_away_while_sending_gets_nothing_and_changes_nothing() -> None:
    routes = Routes(lambda _request: ArmResponse(200, b"{}"))
    sent, _ = call(application(routes), "/subscriptions", b"{", b"GONE", method="PUT")
    assert (sent, routes.request) == ([], None)
