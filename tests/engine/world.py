"""A whole control plane on a stepped host. It can die at any moment, and start again on what it left."""

import asyncio
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
from tests.api.client import BASE, Answer, Arm
from tests.engine.moments import Killed, Moments
from tests.engine.stepped import Clock, Host, SteppedAgent

from skerry.arm.secrets import Secrets
from skerry.arm.service import Installation
from skerry.control import ControlPlane
from skerry.store import OperationRow
from skerry.store.tables import metadata

SUBSCRIPTION = "5ca1ab1e-0000-4000-8000-000000000001"
USER = SimpleNamespace(kind="User", object_id=SUBSCRIPTION, name="me", app_id=SUBSCRIPTION)
# UUIDs, and the MAC addresses that follow from them.
_RANDOM = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b"
    r"|\b00([:-]?)0D(?:\1)3A(?:\1[0-9A-F]{2}){3}\b",
    re.IGNORECASE,
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:\+00:00|Z)|PT[\d.]+S|\b19\d{8}\.\d+")
_PASSING = {"etag", "created", "changed", "started", "ended", "resume_at", "deadline", "revision", "trace", "state"}
_PASSING |= {"request_id", "correlation_id"}


class Gateway:
    """The way to the agent, which is made after the control plane."""

    agent: SteppedAgent | None = None

    def serial_log(self, vm: str) -> bytes | None:
        """The agent's answer."""
        return self.agent.serial_log(vm) if self.agent else None


class Client:
    """HTTP on an ASGI application, without a network."""

    def __init__(self, app: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request and its answer."""
        return self._loop.run_until_complete(self._client.request(method, path, **options))

    def close(self) -> None:
        """No more requests."""
        self._loop.close()


class SteppedArm(Arm):
    """A client for whose waiting the world moves."""

    def __init__(self, world: "World") -> None:
        super().__init__(world.client, "token", world.control, world.host)  # type: ignore[arg-type]
        self._world = world

    def wait(self, answer: Answer, seconds: float = 3600) -> Answer:
        """Let everything come to rest; the last answer of the status URL, or `answer` itself."""
        link = answer.headers.get("azure-asyncoperation")
        self._world.settle()
        if not link:
            return answer
        status = self.get(link)
        assert status.status == 200, status.body
        return status


class World:
    """One state folder: a database and a host. `boot` starts the process that serves it."""

    def __init__(self, folder: Path, clock: Clock, moments: Moments | None = None, *, keep: bool = False) -> None:
        self.folder, self.clock, self.moments = folder, clock, moments or Moments()
        folder.mkdir(parents=True, exist_ok=True)
        self.host = Host(self.moments, clock, folder / "host.pickle" if keep or self._kept(folder) else None)
        self.boot()

    @staticmethod
    def _kept(folder: Path) -> bool:
        return (folder / "host.pickle").exists()

    def boot(self) -> None:
        """Start control plane and agent on what is there."""
        gateway = Gateway()
        installation = Installation(SUBSCRIPTION, SUBSCRIPTION, BASE, Secrets(bytes(32)))
        self.control = ControlPlane(self.folder / "skerry.db", installation, gateway)
        self.control.store.on_spec_change = self._then(self.control.store.on_spec_change)
        self.control.store.on_operation_change = self._then(self.control.store.on_operation_change)
        self.client = Client(self.control.app(lambda _header: USER))
        self.arm = SteppedArm(self)
        self.agent = gateway.agent = self.host.agent(self.control.link)

    def _then(self, callback: Callable[[], None]) -> Callable[[], None]:
        def called() -> None:
            self.moments.pass_by("after a commit")
            callback()

        return called

    def crash(self, *, agent: bool = True) -> None:
        """The process dies, and another starts. `agent=False`: only the control plane was in it."""
        self.close()
        before = self.agent
        self.boot()
        if not agent:
            before._source._source = self.control.link  # type: ignore[attr-defined]
            self.agent = before

    def close(self) -> None:
        """Let go of everything, as the end of a process does: nothing is finished, nothing written."""
        self.client.close()
        self.control.store.close()

    def save(self, folder: Path) -> None:
        """Copy the whole state; worlds made there begin with it."""
        folder.mkdir(parents=True)
        with (
            closing(sqlite3.connect(self.folder / "skerry.db")) as source,
            closing(sqlite3.connect(folder / "skerry.db")) as target,
        ):
            source.backup(target)
        self.host.save(folder / "host.pickle")

    def copy(self, folder: Path, moments: Moments | None = None) -> "World":
        """Another world that begins with what this one saved in its folder."""
        shutil.copytree(self.folder, folder)
        return World(folder, self.clock, moments)

    # -- moving

    def turn(self) -> None:
        """Let everything do what it can do now."""
        self.agent.step()
        self.control.engine.run_due()
        self.agent.step()

    def settle(self, hours: float = 3) -> None:
        """Let time pass until every operation has ended and the host has nothing left to do."""
        end = self.clock.monotonic() + hours * 3600
        while True:
            self.turn()
            resume = self._next_resume()
            if resume is None:
                return
            self.clock.advance(max(resume - self.clock.time(), 0.001))
            assert self.clock.monotonic() < end, f"still running after {hours} h: {self.running()}"

    def _next_resume(self) -> float | None:
        with self.control.store.read() as work:
            return work.operations.next_resume(self.clock.time())

    def running(self) -> list[OperationRow]:
        """The operations in progress."""
        with self.control.store.read() as work:
            return [operation for operation in work.operations.recent(1000) if operation.status == "InProgress"]

    # -- looking

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Everything in the database, table by table, JSON decoded."""
        found = {}
        with closing(sqlite3.connect(self.folder / "skerry.db")) as connection:
            connection.row_factory = sqlite3.Row
            for name in metadata.tables:
                rows = connection.execute(f"SELECT * FROM {name}").fetchall()
                found[name] = [{k: _plain(row[k]) for k in row.keys()} for row in rows]  # noqa: SIM118
        return found

    def facts(self) -> dict[str, list[str]]:
        """What there is, in a form that two runs of the same requests have in common: without times and random ids."""
        rows, names = self.rows(), _Names()
        found = {"resources": [names.text(row) for row in sorted(rows["resources"], key=lambda row: row["key"])]}
        for table in ("links", "tags", "host_specs"):
            found[table] = sorted(names.text(row) for row in rows.get(table, []))
        shown = ("kind", "target", "status", "error", "result")
        found["operations"] = sorted(names.text({k: row[k] for k in shown}) for row in rows["operations"])
        found["used"] = [names.text({k: row[k] for k in row if k.startswith("used")}) for row in rows["hosts"]]
        compute, storage = self.host.compute, self.host.storage
        found["machines"] = sorted(names.text(machine.__dict__) for machine in compute.machines().values())
        found["serial"] = sorted(names.text([vm, text.decode()]) for vm, text in compute._serial.items())
        found["disks"] = sorted(
            names.text([disk, size, storage._images[disk]]) for disk, size in storage._sizes.items()
        )
        found["made"] = sorted(names.text([disk]) for disk in storage.made)
        found["networks"] = [names.text(str(vnet)) for vnet in self.applied()]
        return found

    def applied(self) -> list[Any]:
        """The networks on the host."""
        return sorted(self.host.network.applied[-1] if self.host.network.applied else (), key=lambda vnet: vnet.id)


class _Names:
    """Random ids by the order in which they are met."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {SUBSCRIPTION: SUBSCRIPTION}

    def text(self, value: Any) -> str:
        """The value as JSON without what passes."""
        kept = {k: v for k, v in value.items() if k not in _PASSING} if isinstance(value, dict) else value
        text = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode()
        return _TIME.sub("<time>", _RANDOM.sub(self._name, text))

    def _name(self, match: re.Match[str]) -> str:
        digits = re.sub("[:-]", "", match[0]).lower() if len(match[0]) < 20 else match[0]
        return self._known.setdefault(digits, f"<id {len(self._known)}>")


def _plain(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return orjson.loads(value)
    except ValueError:
        return value.decode()


@contextmanager
def opened(folder: Path, clock: Clock, moments: Moments | None = None) -> Iterator[World]:
    """A world for the length of a block, on its clock, its moments counted."""
    with clock.installed():
        world = World(folder, clock, moments)
        with world.moments.of_the_database():
            try:
                yield world
            finally:
                world.close()


__all__ = ["Killed", "World", "opened"]
