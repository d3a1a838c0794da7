"""A small cloud over real TLS for the command line to talk to: login endpoints of our own, resources in a dict."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import Result
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from skerry.cli.errors import CliError
from skerry.identity import Identity, TokenError, routes

POLLS = 2


@dataclass
class Cloud:
    """Resources by lower-case path. Changes end after two polls; `refuse` and `fail` map a path's end to an error.

    `views`, `orders`: what a GET and a POST of a path answer.
    """

    state: Path
    identity: Identity
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    polls: dict[str, int] = field(default_factory=dict)
    refuse: dict[str, str] = field(default_factory=dict)
    fail: dict[str, str] = field(default_factory=dict)
    serial: bytes = b""
    views: dict[str, Any] = field(default_factory=dict)
    orders: dict[str, Any] = field(default_factory=dict)
    tokens_issued: int = 0

    def group(self, name: str = "default") -> str:
        return f"/subscriptions/{self.identity.subscription_id}/resourceGroups/{name}"

    def vm(self, name: str, group: str = "default") -> dict[str, Any]:
        return self.resources[f"{self.group(group)}/providers/Microsoft.Compute/virtualMachines/{name}".lower()]

    async def handle(self, request: Request) -> Response:
        try:
            self.identity.verify(request.headers.get("authorization"))
        except TokenError as error:
            return JSONResponse({"error": {"code": error.code, "message": str(error)}}, 401)
        path = request.url.path
        self.requests.append((request.method, path))
        if path.startswith("/operations/"):
            return self._operation(path)
        assert "api-version" in request.query_params
        for end, message in self.refuse.items():
            if path.endswith(end) and request.method != "GET":
                return JSONResponse({"error": {"code": "Refused", "message": message}}, 409)
        if request.method == "GET":
            return self._read(path, request)
        if path.lower() in self.orders:
            return JSONResponse(self.orders[path.lower()], 202)
        return await self._change(request, path)

    def _read(self, path: str, request: Request) -> Response:
        if path.lower() in self.views:
            return JSONResponse(self.views[path.lower()])
        if path.lower() in self.resources:
            return JSONResponse(self._expanded(path.lower(), request))
        if "/providers/" not in path or path.rpartition("/providers/")[2].count("/") != 1:
            return JSONResponse({"error": {"code": "ResourceNotFound", "message": path}}, 404)
        scope, _, kind = path.lower().partition("/providers/")
        of_kind = re.compile(f"{re.escape(scope)}.*/providers/{re.escape(kind)}/[^/]+")
        found = [resource for key, resource in self.resources.items() if of_kind.fullmatch(key)]
        page = int(request.query_params.get("page", "0"))
        link = f"{self.identity.base_url}{path}?api-version=1&page={page + 1}" if len(found) > page + 1 else None
        return JSONResponse({"value": found[page : page + 1], "nextLink": link})

    def _expanded(self, key: str, request: Request) -> dict[str, Any]:
        found = self.resources[key]
        if request.query_params.get("$expand") != "restorePoints":
            return found
        points = [point for other, point in self.resources.items() if other.startswith(f"{key}/restorepoints/")]
        return {**found, "properties": {**found["properties"], "restorePoints": points}}

    async def _change(self, request: Request, path: str) -> Response:
        if path.endswith("/retrieveBootDiagnosticsData"):
            return JSONResponse({"serialConsoleLogBlobUri": f"{self.identity.base_url}/serial?sig=x"})
        if request.method == "PUT":
            body = await request.json()
            self.resources[path.lower()] = _completed({**body, "id": path, "name": path.rpartition("/")[2]})
        elif request.method == "PATCH":
            size = (await request.json())["properties"]["hardwareProfile"]
            self.resources[path.lower()]["properties"]["hardwareProfile"] = size
        elif request.method == "DELETE":
            del self.resources[path.lower()]
        operation = f"/operations/{len(self.polls)}"
        self.polls[operation] = POLLS
        for end, message in self.fail.items():
            if path.endswith(end):
                self.polls[operation] = -1
                self.resources["error"] = {"code": "Broken", "message": message}
        url = f"{self.identity.base_url}{operation}?api-version=1"
        headers = {"Azure-AsyncOperation": url, "x-ms-retry-after-ms": "1"}
        return JSONResponse(self.resources.get(path.lower(), {}), 202, headers=headers)

    def _operation(self, path: str) -> Response:
        if self.polls[path] < 0:
            return JSONResponse({"status": "Failed", "error": self.resources["error"]})
        self.polls[path] -= 1
        status = "Succeeded" if self.polls[path] == 0 else "InProgress"
        return JSONResponse({"status": status}, headers={"x-ms-retry-after-ms": "1"})


def _completed(resource: dict[str, Any]) -> dict[str, Any]:
    """What a cloud adds to what was asked for."""
    properties = resource.setdefault("properties", {})
    properties["provisioningState"] = "Succeeded"
    kind = resource["id"].lower()
    if "/virtualmachines/" in kind:
        properties["vmId"] = "11111111-2222-3333-4444-555555555555"
        properties["instanceView"] = {"statuses": [{"code": "PowerState/running", "displayStatus": "VM running"}]}
    if "/publicipaddresses/" in kind:
        properties["ipAddress"] = "127.9.8.7"
    if "/networkinterfaces/" in kind:
        properties["ipConfigurations"][0]["properties"]["privateIPAddress"] = "10.0.0.4"
    if "/restorepoints/" in kind:
        properties["timeCreated"] = f"2026-11-22T10:00:{len(resource['name']):02}.1234567+00:00"
        properties["skerry"] |= {"sizeBytes": 300 << 20, "pauseSeconds": 0.041}
        properties["sourceMetadata"] = {"hardwareProfile": {"vmSize": "Standard_B2s"}}
    if "/virtualnetworks/" in kind:
        for subnet in properties["subnets"]:
            subnet["id"] = f"{resource['id']}/subnets/{subnet['name']}"
    return resource


_ALIASES = {
    "outputs": {
        "aliases": {
            "value": {
                "Linux": {
                    "Debian12": {"publisher": "Debian", "offer": "debian-12", "sku": "12-gen2", "version": "latest"}
                }
            }
        }
    }
}


def application(cloud: Cloud) -> Starlette:
    """The cloud as an ASGI application."""

    async def aliases(_request: Request) -> Response:
        return JSONResponse(_ALIASES)

    async def health(_request: Request) -> Response:
        return JSONResponse({})

    async def serial(request: Request) -> Response:
        assert "authorization" not in request.headers
        return Response(cloud.serial)

    own = [Route("/images/aliases.json", aliases), Route("/healthz", health), Route("/serial", serial)]
    methods = ["GET", "PUT", "PATCH", "POST", "DELETE"]
    return Starlette(routes=[*routes(cloud.identity), *own, Route("/{path:path}", cloud.handle, methods=methods)])


Skerry = Callable[..., Result]


def answer(result: Result) -> Any:
    """The JSON that a successful command printed."""
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def failure(result: Result) -> str:
    """The message of a command that failed as commands should."""
    assert isinstance(result.exception, CliError), (result.output, result.exception)
    return str(result.exception)
