"""Requests for `requests`: one kept-alive TLS connection, as clients keep one."""

import http.client
import json
import ssl
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Connection:
    """To localhost. What it gets is read whole and must be 200."""

    def __init__(self, port: int, ca: Path, token: str) -> None:
        context = ssl.create_default_context(cafile=str(ca))
        self._connection = http.client.HTTPSConnection("localhost", port, timeout=60, context=context)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, target: str) -> bytes:
        """The body at a path and query."""
        self._connection.request("GET", target, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"GET {target} answered {response.status}: {body[:300].decode(errors='replace')}")
        return body

    def pages(self, target: str) -> dict[str, bytes]:
        """A list's pages in order, by path and query."""
        found: dict[str, bytes] = {}
        link: str | None = target
        while link is not None:
            found[link] = self.get(link)
            following = json.loads(found[link]).get("nextLink")
            link = _target(following) if following else None
        return found


def _target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"
