"""The guest agent's channel (qemu-ga). Everything read from it was written by the guest and is not to be trusted."""

import asyncio
import json
import re
import socket
from pathlib import Path

from skerry.host.compute.qemu.qmp import connected

SECONDS = 10.0
LONGEST_LINE = 1 << 14
MOST_LINES = 64
"""What an earlier client left unread in the channel; a guest that says more than this is no agent."""
VERSION = re.compile(r"[\w.+~-]{1,64}")


async def agent_version(path: Path) -> str | None:
    """The version of the agent behind the socket at `path`; None when it doesn't answer properly in time."""
    try:
        return await ask_version(connected(path))
    except OSError:
        return None


async def ask_version(channel: socket.socket) -> str | None:
    """As `agent_version`, on a connection, which is closed then."""
    try:
        return await asyncio.wait_for(_ask(channel), SECONDS)
    except (OSError, ValueError, RecursionError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None


async def _ask(channel: socket.socket) -> str | None:
    reader, writer = await asyncio.open_unix_connection(sock=channel, limit=LONGEST_LINE)
    try:
        # What an earlier client left in the channel ends where our own number comes back.
        await _send(writer, {"execute": "guest-sync", "arguments": {"id": 7783}})
        for _ in range(MOST_LINES):
            if await _receive(reader) == 7783:
                break
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
