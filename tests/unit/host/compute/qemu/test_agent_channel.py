"""The guest agent's version, from an honest guest and from hostile ones."""

import asyncio
import json
from pathlib import Path

import pytest

from skerry.host.compute.qemu.agent_channel import LONGEST_LINE, agent_version

SYNC = b'{"return": 7783}\n'


async def ask(folder: Path, answers: list[bytes]) -> str | None:
    """The version as read from a guest that gives these answers, one per command, and then hangs up."""

    async def guest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            assert json.loads(await reader.readline())["execute"].startswith("guest-")
            writer.write(answer)
            await writer.drain()
        writer.close()

    path = folder / "qga.sock"
    server = await asyncio.start_unix_server(guest, path)
    async with server:
        return await agent_version(path)


@pytest.mark.parametrize(
    ("answers", "version"),
    [
        ([SYNC, b'{"return": {"version": "7.2.22"}}\n'], "7.2.22"),
        ([b'{"return": {"left": "over"}}\n' + SYNC, b'{"return": {"version": "9.0"}}\n'], "9.0"),
        ([SYNC, b'{"return": {"version": "<script>"}}\n'], None),
        ([SYNC, b'{"return": {"version": 7}}\n'], None),
        ([SYNC, b'{"return": []}\n'], None),
        ([SYNC, b'{"error": {"class": "CommandNotFound"}}\n'], None),
        ([b"x" * (2 * LONGEST_LINE)], None),
        ([b"no json\n"], None),
        ([], None),
    ],
)
def test_version(tmp_path: Path, answers: list[bytes], version: str | None) -> None:
    assert asyncio.run(ask(tmp_path, answers)) == version


def test_no_socket(tmp_path: Path) -> None:
    assert asyncio.run(agent_version(tmp_path / "qga.sock")) is None
