"""CPU time of a server per request, against a bare server that answers the same bytes.

Both serve TLS on loopback to one client on one connection; a process's CPU time is read from /proc before and after.
"""

import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from bench.figures import Figures, ratio_row
from bench.guests import site
from bench.load import Connection
from bench.options import Options
from bench.processes import cpu_seconds, end
from bench.skerry import Skerry, free_port, skerry, until
from skerry.arm.ids import ResourceId, parse_id
from skerry.arm.rows import body_of, set_body
from skerry.store import ResourceRow, Store

VMS = 1000
GETS = 1000
LISTS = 40
MOST_RATIO = 2.0
LIST = "providers/Microsoft.Compute/virtualMachines"
API_VERSION = "api-version=2024-07-01"


@dataclass(frozen=True)
class Server:
    """One of the two: its process and a connection to it."""

    pid: int
    connection: Connection

    def cost(self, targets: Sequence[str], rounds: int) -> float:
        """CPU seconds per round of requests to `targets`."""
        before = cpu_seconds(self.pid)
        for _ in range(rounds):
            for target in targets:
                self.connection.get(target)
        return (cpu_seconds(self.pid) - before) / rounds


def measure(options: Options) -> Figures:
    """GET of one VM, and the list of VMS."""
    with skerry("--simulate", "1", image=False) as running:
        path = site(running).create("one")
        _copy(running, path)
        ca, token = running.state / "tls" / "ca.pem", running.token()
        with Connection(running.port, ca, token) as connection:
            single = {f"{path}?{API_VERSION}": connection.get(f"{path}?{API_VERSION}")}
            pages = connection.pages(f"{running.client.subscription}/{LIST}?{API_VERSION}")
            _check(pages)
            with _bare(running, {**single, **pages}) as (pid, port), Connection(port, ca, token) as bare_connection:
                ours, theirs = Server(running.pid, connection), Server(pid, bare_connection)
                return _compare(ours, theirs, single, pages, options.pairs)


def _compare(
    ours: Server, theirs: Server, single: Mapping[str, bytes], pages: Mapping[str, bytes], pairs: int
) -> Figures:
    gets = [(ours.cost(list(single), GETS), theirs.cost(list(single), GETS)) for _ in range(pairs)]
    lists = [(ours.cost(list(pages), LISTS), theirs.cost(list(pages), LISTS)) for _ in range(pairs)]
    get, bare_get = [pair[0] for pair in gets], [pair[1] for pair in gets]
    whole, bare_whole = [pair[0] for pair in lists], [pair[1] for pair in lists]
    page = [seconds / len(pages) for seconds in whole]
    kib = sum(map(len, pages.values())) / len(pages) / 1024
    rows = (
        ratio_row("`GET` of one VM / bare server", get, bare_get, MOST_RATIO),
        ratio_row(f"list of {VMS:,} VMs, {len(pages)} pages by `nextLink` / bare server", whole, bare_whole),
        ratio_row(f"one page of {VMS // len(pages)} VMs ({kib:.0f} KiB) / `GET` of one VM", page, get),
    )
    note = (
        f"Pairs: {pairs}; each side {GETS:,} times the `GET`, {LISTS} times the list. TLS on one kept-alive connection."
    )
    return Figures(rows, note)


def _copy(running: Skerry, path: str) -> None:
    """Put VMS - 1 copies of a VM's row beside it. A list reads rows and nothing else, so no host needs to know them."""
    store, original = Store(running.state / "skerry.db"), parse_id(path)
    try:
        with store.write() as work:
            row = work.resources.get(original.key)
            assert row is not None
            for number in range(VMS - 1):
                work.resources.save(_renamed(row, original, f"copy-{number:04}"))
    finally:
        store.close()


def _renamed(row: ResourceRow, original: ResourceId, name: str) -> ResourceRow:
    resource, identifier = replace(original, names=(name,)), str(uuid.uuid4())
    copy = replace(row, key=resource.key, id=str(resource), name=name, private={**row.private, "vm": identifier})
    body = body_of(row)
    body |= {"id": str(resource), "name": name}
    body["properties"]["vmId"] = identifier
    set_body(copy, body)
    return copy


def _check(pages: Mapping[str, bytes]) -> None:
    found = sum(len(orjson.loads(page)["value"]) for page in pages.values())
    if found != VMS:
        raise RuntimeError(f"the list has {found} VMs instead of {VMS}")


@contextmanager
def _bare(running: Skerry, answers: Mapping[str, bytes]) -> Iterator[tuple[int, int]]:
    """The other server with the same certificate; its pid and port. It answers what Skerry answered, byte for byte."""
    bodies, port = running.folder / "bodies.json", free_port()
    bodies.write_bytes(orjson.dumps({target: orjson.loads(body) for target, body in answers.items()}))
    tls = running.state / "tls"
    words = [sys.executable, "-m", "bench.bare_server", str(port), str(tls / "cert.pem"), str(tls / "key.pem")]
    process = subprocess.Popen([*words, str(bodies)], cwd=Path(__file__).parents[1], stdin=subprocess.DEVNULL)
    try:
        until(lambda: _answers(process, port, tls / "ca.pem", answers), 30, "the bare server")
        yield process.pid, port
    finally:
        end(process)


def _answers(process: subprocess.Popen[bytes], port: int, ca: Path, answers: Mapping[str, bytes]) -> bool | None:
    """True once it serves the very same bytes; None before it serves."""
    if process.poll() is not None:
        raise RuntimeError(f"the bare server ended with {process.returncode}")
    try:
        with Connection(port, ca, "") as connection:
            different = [target for target, body in answers.items() if connection.get(target) != body]
    except ConnectionError:
        return None
    if different:
        raise RuntimeError(f"the bare server answers other bytes at {different[0]}")
    return True
