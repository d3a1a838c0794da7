"""The load of `creates`: NICs and VMs put over kept-alive connections, each followed until its VM is provisioned.

    python -m bench.create_load < PLAN    PLAN and what is printed: JSON, see `Plan` and `Result`

It speaks just enough HTTP to be cheap beside the server that it loads.
"""

import asyncio
import ssl
import sys
import time
from collections import deque
from itertools import count

import msgspec
import uvloop

POLL_SECONDS = 0.25
WINDOW = 4  # VMs that a connection has begun and not seen provisioned; it looks after the oldest


class Plan(msgspec.Struct, frozen=True):
    """`nic` and `vm`: path and body of a PUT, with `NAME` for a name that is used once."""

    port: int
    ca: str
    token: str
    seconds: float
    connections: int
    nic: tuple[str, str]
    vm: tuple[str, str]


class Result(msgspec.Struct, frozen=True):
    """`created` VMs in `seconds`; `last`: the path of one. `waited`: seconds from each NIC's PUT until it was seen."""

    created: int
    seconds: float
    last: str
    waited: list[float]


class Client:
    """One connection."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._head = f"Host: localhost:{plan.port}\r\nAuthorization: Bearer {plan.token}\r\n"

    async def open(self) -> None:
        """Connect."""
        context = ssl.create_default_context(cafile=self._plan.ca)
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._plan.port, ssl=context, server_hostname="localhost"
        )

    async def call(self, method: str, path: str, body: str = "") -> tuple[int, bytes]:
        """Status and body of an answer."""
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        self._writer.write(f"{method} {path} HTTP/1.1\r\n{self._head}{length}\r\n{body}".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        size = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        return int(head[9:12]), await self._reader.readexactly(int(size or 0))

    async def put(self, what: tuple[str, str], name: str) -> str:
        """PUT; the path. Raises RuntimeError for a refusal."""
        path = what[0].replace("NAME", name)
        status, body = await self.call("PUT", path, what[1].replace("NAME", name))
        if status not in (200, 201):
            raise RuntimeError(f"PUT {path} answered {status}: {body.decode()}")
        return path


async def run(plan: Plan) -> Result:
    """All connections at once; VMs that are begun when the time is over are followed, but not counted."""
    names, waited, last = count(), list[float](), [""]
    end = time.monotonic() + plan.seconds

    async def one() -> None:
        client, begun = Client(plan), deque[tuple[str, float]]()
        await client.open()
        while time.monotonic() < end or begun:
            if time.monotonic() < end:
                name, began = f"v{next(names):07}", time.monotonic()
                await client.put(plan.nic, name)
                begun.append((await client.put(plan.vm, name), began))
            if len(begun) == WINDOW or time.monotonic() >= end:
                path, began = begun.popleft()
                await _provisioned(client, path)
                if time.monotonic() < end:
                    waited.append(time.monotonic() - began)
                    last[0] = path

    await asyncio.gather(*(one() for _ in range(plan.connections)))
    return Result(len(waited), plan.seconds, last[0], waited)


async def _provisioned(client: Client, path: str) -> None:
    while True:
        _, body = await client.call("GET", path)
        if b'"provisioningState":"Succeeded"' in body:
            return
        if b'"provisioningState":"Failed"' in body:
            raise RuntimeError(f"{path} failed")
        await asyncio.sleep(POLL_SECONDS)


def main() -> None:
    """Read the plan, print the result."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(run(plan))
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
