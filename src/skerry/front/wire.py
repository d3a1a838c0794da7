"""What front and control plane tell each other: frames of MessagePack, each after its length in four bytes."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import cast

from msgspec import Struct, msgpack

_LENGTH = 4


class Start(Struct, tag=True, frozen=True, array_like=True):
    """To the front, first of all: where the state and the database are, and what clients call this Skerry."""

    state: str
    database: str
    base_url: str
    terminal: bool


class Ready(Struct, tag=True, frozen=True, array_like=True):
    """From the front: it serves."""


class Stop(Struct, tag=True, frozen=True, array_like=True):
    """To the front: finish the requests under way, take no others, and end."""


class Request(Struct, tag=True, frozen=True, array_like=True):
    """From the front: a request, read whole, as its ASGI scope has it. `number` is its answer's, too."""

    number: int
    scheme: str
    http_version: str
    method: str
    path: str
    raw_path: bytes
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    client: str
    body: bytes


class Response(Struct, tag=True, frozen=True, array_like=True):
    """To the front: the answer to a request."""

    number: int
    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class Answered(Struct, frozen=True, array_like=True):
    """A request that the front has answered by itself."""

    method: str
    path: str
    status: int
    seconds: float


class Told(Struct, tag=True, frozen=True, array_like=True):
    """From the front, now and then: what it has answered by itself, for the metrics, and what it has to log."""

    answered: Sequence[Answered]
    lines: str


Frame = Start | Ready | Stop | Request | Response | Told

_encoder, _decoder = msgpack.Encoder(), msgpack.Decoder(Frame)


def encoded(frame: Frame) -> bytes:
    """A frame as it is sent."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(_LENGTH, "big") + body


def first(control: socket.socket) -> Frame:
    """The first frame of a socket, waited for. Raises EOFError when there will be none."""
    frame: Frame = _decoder.decode(_exactly(control, int.from_bytes(_exactly(control, _LENGTH), "big")))
    return frame


def _exactly(control: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = control.recv(size - len(found))
        if not part:
            raise EOFError
        found += part
    return found


class Channel(asyncio.Protocol):
    """One end of the socket between the two. `on_end` is called once the other one has closed it, or is gone."""

    def __init__(self, on_frame: Callable[[Frame], None], on_end: Callable[[], None]) -> None:
        self._on_frame, self._on_end = on_frame, on_end
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is a socket."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by name

    def data_received(self, data: bytes) -> None:
        """Some bytes came: perhaps a part of a frame, perhaps several."""
        self._buffer += data
        at, there = 0, len(self._buffer)
        while there - at >= _LENGTH:
            end = at + _LENGTH + int.from_bytes(self._buffer[at : at + _LENGTH], "big")
            if end > there:
                break
            frame = _decoder.decode(self._buffer[at + _LENGTH : end])
            at = end
            self._on_frame(frame)
        del self._buffer[:at]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The other end is closed."""
        self._transport = None
        self._on_end()

    def send(self, frame: Frame) -> None:
        """Send a frame; one to an end that is gone is lost."""
        if self._transport is not None:
            self._transport.write(encoded(frame))

    def close(self) -> None:
        """Close this end."""
        if self._transport is not None:
            self._transport.close()
