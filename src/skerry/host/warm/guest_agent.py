"""Running a script in a guest by its QEMU guest agent. Whatever is read from the channel was written by the guest.

Source: https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html
"""

import base64
import json
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from skerry.host.compute.qemu.qmp import connected
from skerry.host.errors import HostError

SYNC_SECONDS = 1.0
ANSWER_SECONDS = 15.0  # to what takes the guest no time
POLL_SECONDS, READ_SECONDS = 0.05, 0.02
MOST_BYTES = 1 << 20
WORDS = 400  # of a script's output, in an error
PARAMETERS, OUTCOME = "/run/skerry/parameters", "/run/skerry/outcome"
DONE = "done\n"
PART_BYTES = 1 << 14  # a pipe takes four of these at once


class GuestAgent:
    """A connection to the channel at `path`; one at a time. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._socket = connected(path)
        self._received = b""

    def __enter__(self) -> "GuestAgent":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect. No-op the second time."""
        self._socket.close()

    def wait(self, seconds: float) -> None:
        """Until the agent answers. Raises HostError after `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            number = secrets.randbelow(1 << 31)
            self._send("guest-sync", {"id": number})
            with suppress(HostError):
                while self._receive(SYNC_SECONDS).get("return") != number:
                    pass
                return
        raise HostError(f"the guest agent did not answer within {seconds:g} s")

    def run(self, program: str, script: bytes, seconds: float, *, check: bool = True) -> str:
        """Feed `script` to `program` and return its output. Raises HostError for another status than 0 if `check`."""
        given = {"path": program, "input-data": base64.b64encode(script).decode(), "capture-output": True}
        deadline = time.monotonic() + seconds
        pid = self._ask("guest-exec", given, seconds).get("pid")
        while time.monotonic() < deadline:
            status = self._ask("guest-exec-status", {"pid": pid}, seconds)
            if status.get("exited"):
                return _output(program, status, check=check)
            time.sleep(POLL_SECONDS)
        raise HostError(f"{program} did not end in the guest within {seconds:g} s")

    def tell(self, parameters: bytes, seconds: float) -> None:
        """Tell the interpreter that waits in a template (guest/resident.pl) who the guest is.

        Raises HostError when it fails, or takes longer than `seconds`.
        """
        handle = self._open(PARAMETERS, "w", ANSWER_SECONDS)
        for start in range(0, len(parameters), PART_BYTES):
            part = base64.b64encode(parameters[start : start + PART_BYTES]).decode()
            self._ask("guest-file-write", {"handle": handle, "buf-b64": part})
        self._ask("guest-file-close", {"handle": handle})
        outcome = self._open(OUTCOME, "r", ANSWER_SECONDS)
        if (said := self._read(outcome, len(DONE), seconds)) != DONE:
            said += self._read(outcome, WORDS, SYNC_SECONDS)
            raise HostError(f"the guest could not be made its own: {_printable(said) or 'it said nothing in time'}")

    def _open(self, path: str, mode: str, seconds: float) -> object:
        return self._answer("guest-file-open", {"path": path, "mode": mode}, seconds)

    def _read(self, handle: object, count: int, seconds: float) -> str:
        """What somebody writes into a pipe within `seconds`, at most `count` bytes.

        The agent loses what is there when it is asked for more than that, which is an error.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(HostError):
                found = self._ask("guest-file-read", {"handle": handle, "count": count})
                if text := _decoded(found.get("buf-b64")):
                    return text
            time.sleep(READ_SECONDS)
        return ""

    def _ask(self, command: str, arguments: dict[str, Any], seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        found = self._answer(command, arguments, seconds)
        if not isinstance(found, dict):
            raise HostError(f"the guest agent's answer to {command} makes no sense: {str(found)[:WORDS]}")
        return found

    def _answer(self, command: str, arguments: dict[str, Any], seconds: float) -> object:
        self._send(command, arguments)
        answer = self._receive(seconds)
        if "return" not in answer:
            raise HostError(f"the guest agent refused {command}: {str(answer)[:WORDS]}")
        return answer["return"]

    def _send(self, command: str, arguments: dict[str, Any]) -> None:
        self._socket.settimeout(SYNC_SECONDS)
        try:
            self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        except OSError as error:
            raise HostError(f"the guest agent's channel failed: {error}") from error

    def _receive(self, seconds: float) -> dict[str, Any]:
        """The next line that is a JSON object; what an earlier client left may be cut short."""
        deadline = time.monotonic() + seconds
        while True:
            line, found, rest = self._received.partition(b"\n")
            if not found:
                self._fill(deadline)
                continue
            self._received = rest
            with suppress(ValueError):
                answer = json.loads(line)
                if isinstance(answer, dict):
                    return answer

    def _fill(self, deadline: float) -> None:
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            part = self._socket.recv(1 << 16)
        except TimeoutError as error:
            raise HostError("the guest agent did not answer in time") from error
        except OSError as error:
            raise HostError(f"the guest agent's channel failed: {error}") from error
        if not part or len(self._received) + len(part) > MOST_BYTES:
            raise HostError("the guest agent's channel was closed, or flooded by the guest")
        self._received += part


def _output(program: str, status: dict[str, Any], *, check: bool) -> str:
    out, err = (_decoded(status.get(name)) for name in ("out-data", "err-data"))
    if check and status.get("exitcode") != 0:
        raise HostError(f"{program} failed in the guest with {status.get('exitcode')}: {_printable(err or out)}")
    return out


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[-WORDS:]).strip()


def _decoded(data: object) -> str:
    try:
        return base64.b64decode(data if isinstance(data, str) else "").decode(errors="replace")
    except ValueError:
        return ""
