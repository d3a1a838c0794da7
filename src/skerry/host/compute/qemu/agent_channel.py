"""The guest agent's channel (qemu-ga). Everything read from it was written by the guest and is not to be trusted."""

import asyncio
import json
import re
from pathlib import Path

from skerry.host.compute.qemu.qmp import connected

SECONDS = 10.0
LONGEST_LINE = 1 << 16
VERSION = re.compile(r"[\w.+~-]{1,64}")


async def agent_version(path: Path) -> str | None:
    """The version of the agent behind the socket at `path`; None when it doesn't answer properly in time."""
    try:
        return await asyncio.wait_for(_ask(path), SECONDS)
    except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None


async def _ask(path: Path) -> str | None:
    reader, writer = await asyncio.open_unix_connection(sock=connected(path), limit=LONGEST_LINE)
    try:
        # What an earlier client left in the channel ends where our own number comes back.
        await _send(writer, {"execute": "guest-sync", "arguments": {"id": 7783}})
        while await _receive(reader) != 7783:
            pass
        await _send(writer, {"execute": "guest-info"})
        answer = await _receive(reader)
    finally:
        writer.close()
    version = answer.get("version") if isinstance(answer, dict) else None
    return version if isinstance(version, str) and VERSION.fullmatch(version) else None


async def _send(writer: asyncio.StreamWriter, command: object) -> None:
    writer.write(json.dumps(command).encode() + b"\n")
    await writer.drain()


async def _receive(reader: asyncio.StreamReader) -> object:
    answer = json.loads(await reader.readuntil(b"\n"))
    return answer.get("return") if isinstance(answer, dict) else None
