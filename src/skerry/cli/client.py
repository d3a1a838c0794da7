"""A client of the ARM API on one kept-alive connection, from the standard library alone: it starts in milliseconds."""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import click

from skerry.cli.errors import ApiError, CliError
from skerry.cli.state import Credentials, credentials, needed, write_json

TIMEOUT_SECONDS = 60
_POLL_SECONDS = 1.0
_TOKEN_MARGIN_SECONDS = 120
_API_VERSIONS = {
    "microsoft.compute": "2024-07-01",
    "microsoft.network": "2024-05-01",
    "microsoft.resources": "2021-04-01",
    "skerry.admin": "2026-01-01",
}


@dataclass(frozen=True)
class Reply:
    """One answer: header names in lower case; `body` as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's value, None when it is empty."""
        return json.loads(self.body) if self.body else None


class Client:
    """Talks to the Skerry that serves a state folder. `subscription` is the path that resource ids begin with."""

    def __init__(self, base_url: str, ca: Path, login: Credentials, token_file: Path) -> None:
        parts = urlsplit(base_url)
        self._base_url, self._login, self._token_file = base_url, login, token_file
        self._connection = http.client.HTTPSConnection(
            parts.hostname or "localhost",
            parts.port,
            timeout=TIMEOUT_SECONDS,
            context=ssl.create_default_context(cafile=str(ca)),
        )
        self._token: str | None = None
        self.subscription = f"/subscriptions/{login.subscription_id}"

    @classmethod
    def of(cls, state: Path) -> "Client":
        """The client for `state`, closed at the end of the command. Raises CliError when no Skerry runs on it."""
        server = needed(state)
        token_file = state / "azure" / "skerry-token.json"
        client = cls(server.base_url, state / "tls" / "ca.pem", credentials(state), token_file)
        click.get_current_context().call_on_close(client.close)
        return client

    def close(self) -> None:
        """Give the connection up."""
        self._connection.close()

    def group(self, group: str) -> str:
        """The id of a resource group."""
        return f"{self.subscription}/resourceGroups/{quote(group, safe='')}"

    def get(self, path: str, **query: str) -> Any:
        """A resource, or None when there is none. Raises ApiError for everything else."""
        try:
            return self.request("GET", path, query=query).json()
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, path: str) -> Iterator[Any]:
        """Every element of a collection, page by page."""
        page = self.request("GET", path).json()
        yield from page["value"]
        while link := page.get("nextLink"):
            page = self.exchange("GET", self._own(link)).json()
            yield from page["value"]

    def request(self, method: str, path: str, body: Any = None, query: dict[str, str] | None = None) -> Reply:
        """One request to `path`, with the api-version of its provider. Raises ApiError for a refusal."""
        parameters = {"api-version": _api_version(path), **(query or {})}
        return self.exchange(method, f"{path}?{urlencode(parameters)}", body)

    def change(
        self, method: str, path: str, body: Any = None, *, wait: bool = True, tick: Callable[[], None] = lambda: None
    ) -> Any:
        """A change, to its end if `wait`; the resource as it then is (PUT, PATCH), else None.

        `tick` is called every poll. Raises ApiError when the change is refused or fails later.
        """
        reply = self.request(method, path, body)
        if not wait or not self.finish(reply, tick=tick):
            return reply.json()
        return self.get(path) if method in ("PUT", "PATCH") else None

    def finish(self, reply: Reply, *, tick: Callable[[], None] = lambda: None) -> bool:
        """Wait for the operation that an answer began, if it did. Raises ApiError when that fails."""
        operation = reply.headers.get("azure-asyncoperation")
        if operation is None:
            return False
        self._follow(reply, self._own(operation), tick)
        return True

    def exchange(self, method: str, target: str, body: Any = None) -> Reply:
        """One request to a path and query as they are. Raises ApiError for a refusal."""
        content = None if body is None else json.dumps(body).encode()
        reply = self._send(method, target, content, {"Authorization": f"Bearer {self._bearer()}"})
        if reply.status == 401:
            self._token = None
            self._token_file.unlink(missing_ok=True)
            reply = self._send(method, target, content, {"Authorization": f"Bearer {self._bearer()}"})
        if reply.status >= 400:
            raise _refusal(reply)
        return reply

    def fetch(self, url: str) -> bytes:
        """What a signed URL of this Skerry leads to; no token is sent."""
        reply = self._send("GET", self._own(url), None, {})
        if reply.status >= 400:
            raise _refusal(reply)
        return reply.body

    def _follow(self, reply: Reply, operation: str, tick: Callable[[], None]) -> None:
        while True:
            _pause(reply, tick)
            reply = self.exchange("GET", operation)
            status = reply.json()
            if status["status"] == "Succeeded":
                return
            if status["status"] in ("Failed", "Canceled"):
                error = status.get("error") or {}
                raise ApiError(0, error.get("code", status["status"]), error.get("message", "no reason was given"))

    def _bearer(self) -> str:
        if self._token is None:
            self._token = self._cached_token() or self._new_token()
        return self._token

    def _cached_token(self) -> str | None:
        try:
            cached = json.loads(self._token_file.read_bytes())
            fresh = cached["ends"] > time.time() and cached["for"] == [self._base_url, self._login.app_id]
            return str(cached["token"]) if fresh else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _new_token(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._login.app_id,
            "client_secret": self._login.app_secret,
            "scope": f"{self._base_url}/.default",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = self._send("POST", "/adfs/oauth2/token", urlencode(form).encode(), headers)
        if reply.status != 200:
            raise CliError(f"Skerry refused its own login: {_refusal(reply)} Restart it.")
        answer = reply.json()
        ends = time.time() + int(answer["expires_in"]) - _TOKEN_MARGIN_SECONDS
        token = str(answer["access_token"])
        with suppress(OSError):  # a full or read-only disk: the next command asks for a token of its own
            write_json(self._token_file, {"token": token, "ends": ends, "for": [self._base_url, self._login.app_id]})
        return token

    def _send(self, method: str, target: str, content: bytes | None, headers: dict[str, str]) -> Reply:
        headers = {"Accept": "application/json", **({"Content-Type": "application/json"} if content else {}), **headers}
        try:
            return self._send_once(method, target, content, headers)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # The server closed a connection that lay idle. Every request of ours may be repeated.
            self._connection.close()
        except OSError as error:
            raise self._unreachable(error) from error
        try:
            return self._send_once(method, target, content, headers)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _send_once(self, method: str, target: str, content: bytes | None, headers: dict[str, str]) -> Reply:
        self._connection.request(method, target, content, headers)
        response = self._connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def _unreachable(self, error: Exception) -> CliError:
        self._connection.close()
        return CliError(f"{self._base_url} doesn't answer: {error}. `skerry status` tells more.")

    def _own(self, url: str) -> str:
        """Path and query of a link that the server gave."""
        parts = urlsplit(url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _pause(reply: Reply, tick: Callable[[], None]) -> None:
    """Wait as long as the server asked for (milliseconds come first), ticking at least five times a second."""
    milliseconds, seconds = reply.headers.get("x-ms-retry-after-ms"), reply.headers.get("retry-after")
    delay = int(milliseconds) / 1000 if milliseconds else float(seconds) if seconds else _POLL_SECONDS
    end = time.monotonic() + delay
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.2))
        tick()


def _api_version(path: str) -> str:
    """By the last provider in the path; a resource group or subscription is `Microsoft.Resources`."""
    parts = path.lower().split("/")
    providers = [parts[i + 1] for i, part in enumerate(parts[:-1]) if part == "providers"]
    return _API_VERSIONS[providers[-1] if providers else "microsoft.resources"]


def _refusal(reply: Reply) -> ApiError:
    try:
        error = reply.json()["error"]
        return ApiError(reply.status, str(error["code"]), str(error["message"]))
    except (ValueError, KeyError, TypeError):
        return ApiError(reply.status, f"HTTP {reply.status}", reply.body[:500].decode(errors="replace") or "no reason")
