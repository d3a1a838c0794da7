"""One Skerry on one state folder: takes the folder and the port, puts all parts together, serves until SIGTERM."""

import asyncio
import errno
import fcntl
import gc
import json
import os
import resource
import secrets
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import structlog
import uvloop
from starlette.types import ASGIApp

from skerry import __version__, logs
from skerry.arm.secrets import Secrets
from skerry.arm.service import Installation
from skerry.authentication import authenticator
from skerry.control import ControlPlane
from skerry.front import NAMES, SWITCH_SECONDS
from skerry.front.keeper import FrontFailed, Keeper
from skerry.front.wire import Start
from skerry.host.agent import Agent
from skerry.host.capacity import Promise
from skerry.host.factory import WarmOptions, real_agent
from skerry.host.fleet import Fleet
from skerry.hostspec import HostSpec, Observed
from skerry.hostspec.client import SpecSource
from skerry.identity import Identity, ensure_tls
from skerry.identity import routes as identity_routes
from skerry.identity.files import write
from skerry.links import open_routes
from skerry.options import Options
from skerry.resources.compute.catalogue.images import alias_document
from skerry.store import BadDatabase, StoreUnavailable
from skerry.store.location import locate, remember
from skerry.store.migrate import NewerState, OtherInstallation

log = structlog.get_logger()

ADDRESSES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
FOLDER_CHECK_SECONDS = 2.0
BIND_TRIALS = 10


class StartError(Exception):
    """Skerry can't start; the message says why and what to do. Nothing was changed."""


class StateLost(StartError):
    """The state folder went away while Skerry ran on it."""


class _Gateway:
    """The way to the agent, which is made after the control plane that asks it."""

    agent: Agent | Fleet | None = None

    def serial_log(self, vm: str) -> bytes | None:
        return self.agent.serial_log(vm) if self.agent else None


def serve(state: Path, options: Options, on_ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT. Guests run on unless STATE/stop.json says otherwise.

    Raises StartError (port or state in use, database of another or a newer Skerry, not enough rights) and HostError.
    """
    _check(options.simulate)
    logs.configure()
    sys.setswitchinterval(SWITCH_SECONDS)
    os.umask(0o077)  # what is in the state folder is for its owner: the database holds password hashes
    # Keys, tokens and (in the QEMUs, which inherit this) guests' memory don't belong into files of a crash.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with ExitStack() as stack:
        stack.enter_context(_lock(state))
        (state / "stop.json").unlink(missing_ok=True)
        sockets = [stack.enter_context(listener) for listener in _listen(options.port)]
        keeper = Keeper(sockets)
        stack.callback(keeper.close)
        ensure_tls(state, NAMES)
        identity = Identity.load(state, f"https://localhost:{options.port}")
        control, agent = _assemble(state, identity, options)
        stack.callback(control.stop)
        if agent is not None:
            agent.start()
            stack.callback(lambda: agent.stop(keep_vms=_keep_vms(state)))
        if isinstance(agent, Agent):
            stack.callback(control.link.close)
        control.start()

        def ready() -> None:
            on_ready()
            log.info("serving", port=options.port, version=__version__, pid=os.getpid())
            # All that is loaded stays: a full collection would go through it each time and stop everything for 50 ms.
            gc.collect()
            gc.freeze()

        start = Start(str(state), str(control.database), identity.base_url, sys.stdout.isatty())
        run = keeper.run(_application(control, identity), start, control.metrics.request, ready)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_run(state, keeper, run))
        except FrontFailed as error:
            raise StartError(f"{error} Its output says why.") from error
        log.info("stopping")


def clean(state: Path) -> None:
    """Stop the guests that a Skerry which is gone has left, and remove its networks. Disks and settings stay."""
    _check(0)
    with _lock(state):
        real_agent(state, _NoSpec(), "tcg", WarmOptions(on=False)).stop(keep_vms=False)


class _NoSpec(SpecSource):
    """A source for an agent that only stops what is there."""

    def desired(self, newer_than: int, timeout: float) -> HostSpec | None:  # noqa: ARG002
        return None

    def report(self, observed: Observed) -> None: ...


def _check(simulate: int) -> None:
    if not simulate and os.geteuid() != 0:
        raise StartError(
            "Skerry makes network namespaces and TAP devices, which needs root here: run it with sudo, or with "
            "--simulate 1 to try the API on a host that boots nothing."
        )


@contextmanager
def _lock(state: Path) -> Iterator[None]:
    try:
        state.mkdir(mode=0o711, parents=True, exist_ok=True)
        handle = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"The state folder {state} can't be used: {error.strerror}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise StartError(
            f"The state folder {state} is in use by another Skerry: `skerry status` shows it, `skerry down` stops it."
        ) from error
    try:
        yield
    finally:
        os.close(handle)


def _listen(port: int) -> list[socket.socket]:
    found = []
    for family, address in ADDRESSES:
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            _bind(listener, address, port)
        except OSError as error:
            listener.close()
            if family == socket.AF_INET6 and not isinstance(error, PermissionError) and error.errno == 99:
                continue  # no IPv6 on this machine
            raise StartError(
                f"Port {port} of {address} can't be used: {error.strerror}. Stop what holds it (`ss -ltnp`), or "
                "choose another with --port."
            ) from error
        found.append(listener)
    return found


def _bind(listener: socket.socket, address: str, port: int) -> None:
    """Bind; the front of a Skerry that was killed just now has the port for a moment yet."""
    for _ in range(BIND_TRIALS):
        try:
            listener.bind((address, port))
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            time.sleep(0.1)
    listener.bind((address, port))


def _assemble(state: Path, identity: Identity, options: Options) -> tuple[ControlPlane, Agent | Fleet | None]:
    secret = Secrets(_secret_key(state / "keys" / "secrets.key"))
    installation = Installation(identity.subscription_id, identity.tenant_id, identity.base_url, secret)
    gateway = _Gateway()
    try:
        database = locate(state, options.database)
        control = ControlPlane(database, installation, gateway, copies=state)
        remember(state, database)
    except (BadDatabase, NewerState, OtherInstallation, StoreUnavailable) as error:
        raise StartError(str(error)) from error
    try:
        gateway.agent = _agent(state, control, options)
    except BaseException:
        control.stop()
        raise
    return control, gateway.agent


def _agent(state: Path, control: ControlPlane, options: Options) -> Agent | Fleet | None:
    """What works for this control plane; None where this machine's disks belong to another state folder's."""
    if options.simulate:
        return Fleet(control.fleet, options.simulate)
    if not control.claim_host(_host_id(state / "host.id")):
        log.warning("this control plane has no machine: the host is another state folder's, on the same database")
        return None
    warm = WarmOptions(options.warm, options.warm_memory, options.warm_disk, options.standby)
    return real_agent(state, control.link, options.accel, warm, Promise(options.cpus, options.memory))


def _host_id(path: Path) -> str:
    """The name of this state folder's disks and guests; made at first start, in no backup."""
    if not path.exists():
        write(path, secrets.token_hex(16).encode())
    return path.read_text()


def _secret_key(path: Path) -> bytes:
    """32 random bytes, made at first start."""
    if not path.exists():
        write(path, secrets.token_bytes(32))
    key = path.read_bytes()
    if len(key) != 32:
        raise StartError(f"{path} is damaged. Bring it back from a copy; without it, running deployments are lost.")
    return key


def _application(control: ControlPlane, identity: Identity) -> ASGIApp:
    def aliases() -> dict[str, object]:
        with control.store.read() as work:
            return alias_document(work)

    secret = control.service.installation.secrets
    return control.app(
        authenticator(identity), [*identity_routes(identity), *open_routes(secret, control.service, aliases)]
    )


async def _run(state: Path, keeper: Keeper, serving: Awaitable[None]) -> None:
    """Serve until SIGTERM or SIGINT, or until the state folder is gone. Raises StateLost."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, keeper.stop)
    watch = loop.create_task(_folder_lost(state, keeper))
    try:
        await serving
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, lambda _number, _frame: None)  # what is to be cleaned up is cleaned up
    if watch.done():
        watch.result()
    watch.cancel()


async def _folder_lost(state: Path, keeper: Keeper) -> None:
    """Stop serving once the folder isn't the one that is locked. Raises StateLost then."""
    lock = (state / "lock").stat().st_ino
    while await asyncio.to_thread(_is_same, state / "lock", lock):
        await asyncio.sleep(FOLDER_CHECK_SECONDS)
    log.critical("the state folder is gone; stopping", state=str(state))
    keeper.stop()
    raise StateLost(
        f"The state folder {state} was removed or replaced under the running Skerry, which has stopped: nothing it "
        "promised would have been kept. Guests that ran go on with what they have open. Bring the folder back from "
        "a copy and start Skerry again, or end them with `skerry down`."
    )


def _is_same(path: Path, number: int) -> bool:
    try:
        return path.stat().st_ino == number
    except FileNotFoundError:
        return False
    except OSError:
        return True  # a file system that fails now and then isn't gone


def _keep_vms(state: Path) -> bool:
    """What `skerry down` asked for; a plain SIGTERM keeps the guests."""
    try:
        return bool(json.loads((state / "stop.json").read_text()).get("keep_vms", True))
    except (OSError, ValueError):
        return True
