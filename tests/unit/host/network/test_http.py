import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from skerry.host.network import http
from skerry.host.network.http import BadRequest, Request, Response, parse_head


def test_a_head_is_parsed() -> None:
    request = parse_head(b"GET /a%20b/c?x=1&y=a%26b&z HTTP/1.1\r\nHost: h\r\nMETADATA: true\r\n\r\n")
    assert request == Request("GET", "/a b/c", {"x": "1", "y": "a&b", "z": ""}, {"host": "h", "metadata": "true"})


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    ],
)
def test_nonsense_is_refused(head: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_head(head)


def exchange(sent: bytes, handler: http.Handler = lambda request: Response(200, request.body)) -> bytes:
    """What a client gets for `sent`, over a real connection."""

    async def talk() -> bytes:
        with ThreadPoolExecutor(1) as workers:

            async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await http.serve(reader, writer, handler, workers)

            server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=http.MAX_HEAD)
            async with server:
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(sent)
                answer = await reader.read()
                writer.close()
                return answer

    return asyncio.run(talk())


def test_a_body_is_read_and_one_request_a_connection_answered() -> None:
    answer = exchange(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nhello")
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * http.MAX_HEAD + b"\r\n\r\n", 431),
    ],
)
def test_what_is_too_much_is_refused(sent: bytes, status: int) -> None:
    assert exchange(sent).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_failing_handler_tells_nothing() -> None:
    def fail(request: Request) -> Response:
        raise RuntimeError("secret")

    answer = exchange(b"GET / HTTP/1.1\r\n\r\n", fail)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in answer


def test_an_answer_arrives_although_more_was_sent_than_is_read() -> None:
    answer = exchange(b"POST / HTTP/1.1\r\nContent-Length: 400000\r\n\r\n" + b"x" * 400_000)
    assert answer.startswith(b"HTTP/1.1 413 ")
