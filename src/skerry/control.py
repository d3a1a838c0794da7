"""The control plane of one installation, put together: store, service, engine, wire."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from skerry import __version__
from skerry.arm import activity
from skerry.arm.app import Authenticate, create_app
from skerry.arm.openapi import document_route
from skerry.arm.routes import Routes
from skerry.arm.service import Installation, ResourceService
from skerry.engine.engine import Engine
from skerry.engine.fleetlink import FleetLink
from skerry.engine.hostlink import HostLink
from skerry.hostspec.client import HostGateway
from skerry.housekeeping import Housekeeper
from skerry.resources.registry import KINDS, build_registry
from skerry.store import LONGEST_NAP, OperationRow, Store, UnitOfWork
from skerry.store.migrate import prepare
from skerry.telemetry.metrics import CONTENT_TYPE, Metrics

HOST = "local"  # the name of the host on this machine
FOR_GOOD = 100 * 365 * 86400.0
POLL_SECONDS = 1.0  # where other control planes may make operations: their word may get lost


class ControlPlane:
    """Start with `start()` once the host's agent has `link`; `gateway` is the way back to that agent.

    `database` is a SQLite file or a `postgresql://` URL. It is made or migrated, after a copy to the folder `copies`.
    """

    def __init__(
        self, database: str | Path, installation: Installation, gateway: HostGateway, copies: Path | None = None
    ) -> None:
        prepare(database, installation.subscription, copies)
        self.database = database
        self.store = Store(database)
        self.service = ResourceService(build_registry(), installation, gateway)
        idle = POLL_SECONDS if self.store.shared else LONGEST_NAP
        self.engine = Engine(self.store, self.service, KINDS, idle_seconds=idle)
        self.routes = Routes(self.store, self.service)
        self.housekeeper = Housekeeper(self.store)
        self.store.on_operation_change = self.engine.wake
        self.metrics = Metrics(self.store, {key: kind.name for key, kind in self.service.registry.types.items()})
        self.engine.on_step = self.metrics.step
        self.engine.on_end = self._ended

    def claim_host(self, owner: str) -> bool:
        """Let the host on this machine be the state folder's that `owner` names; False when it is another's.

        Two agents would make the same VMs twice, each with disks of its own.
        """
        with self.store.write() as work:
            return work.leases.take(f"host {HOST}", owner, FOR_GOOD)

    @cached_property
    def link(self) -> HostLink:
        """What the agent of the host on this machine is to call."""
        link = HostLink(self.store, HOST)
        self.store.on_spec_change = link.notify
        return link

    @cached_property
    def fleet(self) -> FleetLink:
        """What a fleet of simulated hosts is to call, in place of that agent."""
        fleet = FleetLink(self.store)
        self.store.on_spec_change = fleet.notify
        return fleet

    def app(self, authenticate: Authenticate, extra: Sequence[BaseRoute] = ()) -> ASGIApp:
        """The ASGI application."""
        return create_app(self.routes, authenticate, [*self.open_routes(), *extra], self.metrics.request)

    def open_routes(self) -> list[Route]:
        """What needs no token: the API's document, and the metrics."""
        return [document_route(self.service.registry, __version__), Route("/metrics", self._scrape)]

    async def _scrape(self, _request: Request) -> Response:
        return Response(await run_in_threadpool(self.metrics.text), media_type=CONTENT_TYPE)

    def _ended(self, work: UnitOfWork, operation: OperationRow) -> None:
        activity.ended(work, operation)
        self.metrics.ended(work, operation)

    def start(self) -> None:
        """Run operations, those that an earlier process left included."""
        self.store.watch()
        self.engine.start()
        self.housekeeper.start()

    def stop(self) -> None:
        """Finish the steps under way and close the store."""
        self.housekeeper.stop()
        self.engine.stop()
        self.store.close()
