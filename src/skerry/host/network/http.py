"""A small HTTP/1.1 server for requests from guests: one request a connection, everything bounded.

Guests are hostile: heads of 16 KiB and bodies of 64 KiB at most, ten seconds for the whole request, no chunked bodies.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

import httptools
import structlog

log = structlog.get_logger()

MAX_HEAD = 16 * 1024
MAX_BODY = 64 * 1024
MAX_REST = 1024 * 1024
REQUEST_SECONDS = 10
REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    411: "Length Required",
    413: "Content Too Large",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
}


@dataclass(frozen=True)
class Request:
    """`path` is decoded, `headers` are by lower-case name, `query` by name as given."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


Handler = Callable[[Request], Response]
"""Runs in a worker thread; may block for a moment."""


class BadRequest(Exception):
    """The request can't be read; the argument is the status to answer with."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler, workers: Executor
) -> None:
    """Answer one request and close."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            response = await _answer(reader, handler, workers)
            writer.write(encode(response))
            writer.write_eof()
            await _drop_rest(reader)
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), REQUEST_SECONDS)
        writer.transport.abort()  # a client that doesn't read keeps nothing here


def encode(response: Response) -> bytes:
    head = (
        f"HTTP/1.1 {response.status} {REASONS[response.status]}\r\n"
        f"Content-Type: {response.content_type}\r\nContent-Length: {len(response.body)}\r\n"
        "Connection: close\r\nServer: Skerry\r\n\r\n"
    )
    return head.encode() + response.body


async def _drop_rest(reader: asyncio.StreamReader) -> None:
    """Read what a client still sends: closing over unread data would reset the connection and lose the answer."""
    left = MAX_REST
    while left > 0 and (data := await reader.read(min(left, MAX_HEAD))):
        left -= len(data)


async def _answer(reader: asyncio.StreamReader, handler: Handler, workers: Executor) -> Response:
    try:
        request = await receive(reader)
    except BadRequest as error:
        return Response(error.status)
    try:
        return await asyncio.get_running_loop().run_in_executor(workers, handler, request)
    except Exception as error:  # without its traceback: that would show what a guest may know and a log may not
        log.error("a request from a guest failed", path=request.path, error=repr(error))
        return Response(500)


async def receive(reader: asyncio.StreamReader) -> Request:
    """One whole request. `reader` must have been made with limit=MAX_HEAD. Raises BadRequest, IncompleteReadError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise BadRequest(431) from error
    request = parse_head(head)
    if "transfer-encoding" in request.headers:
        raise BadRequest(411)
    length = request.headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > MAX_BODY:
        raise BadRequest(413 if length.isdecimal() else 400)
    body = await reader.readexactly(int(length))
    return Request(request.method, request.path, request.query, request.headers, body)


def parse_head(head: bytes) -> Request:
    """Request line and headers, up to and with the empty line. Raises BadRequest."""
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(head)
        url = httptools.parse_url(collector.url)
    except (httptools.HttpParserError, httptools.HttpParserInvalidURLError) as error:
        raise BadRequest(400) from error
    query = dict(parse_qsl((url.query or b"").decode("latin-1"), keep_blank_values=True))
    path = unquote((url.path or b"/").decode("latin-1"))
    return Request(parser.get_method().decode(), path, query, collector.headers)


class _Collector:
    """What httptools calls back."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[str, str] = {}

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")
