"""One Skerry on one state folder: takes the folder and the port, puts all parts together, serves until SIGTERM."""

import fcntl
import gc
import json
import os
import resource
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import structlog
import uvicorn
from starlette.types import ASGIApp

from skerry import __version__, logs
from skerry.arm.app import Authenticate
from skerry.arm.errors import ArmError
from skerry.arm.secrets import Secrets
from skerry.arm.service import Installation
from skerry.control import ControlPlane
from skerry.host.agent import Agent
from skerry.host.factory import WarmOptions, real_agent
from skerry.host.fleet import Fleet
from skerry.hostspec import HostSpec, Observed
from skerry.hostspec.client import SpecSource
from skerry.identity import Identity, TokenError, ensure_tls
from skerry.identity import routes as identity_routes
from skerry.identity.files import write
from skerry.identity.principals import Principal
from skerry.identity.tls import TlsFiles
from skerry.links import open_routes
from skerry.options import Options
from skerry.resources.compute.catalogue.images import alias_document
from skerry.store import BadDatabase, StoreUnavailable
from skerry.store.location import locate, remember
from skerry.store.migrate import NewerState, OtherInstallation

log = structlog.get_logger()

ADDRESSES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
NAMES = ("localhost", "127.0.0.1", "::1")
SWITCH_SECONDS = 0.0005
TLS_CHECK_SECONDS = 12 * 3600.0
# How long a thread computes while another waits. A writer lets go of the interpreter at each statement: with Python's
# 5 ms it would wait so long for the event loop after each.
SWITCH_SECONDS = 0.0005
FOLDER_CHECK_SECONDS = 2.0


class StartError(Exception):
    """Skerry can't start; the message says why and what to do. Nothing was changed."""


class StateLost(StartError):
    """The state folder went away while Skerry ran on it."""


class _Gateway:
    """The way to the agent, which is made after the control plane that asks it."""

    agent: Agent | Fleet | None = None

    def serial_log(self, vm: str) -> bytes | None:
        return self.agent.serial_log(vm) if self.agent else None


class _Server(uvicorn.Server):
    """Tells when it serves."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self.lost_folder = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()
        # All that is loaded stays: a full collection would go through it each time and stop every request for 50 ms.
        gc.collect()
        gc.freeze()


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
        tls = ensure_tls(state, NAMES)
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

        _run(state, _application(control, identity), tls, sockets, ready)
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
            listener.bind((address, port))
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
    warm = WarmOptions(options.warm, options.warm_memory, options.warm_disk)
    return real_agent(state, control.link, options.accel, warm)


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


def _run(state: Path, app: ASGIApp, tls: TlsFiles, sockets: list[socket.socket], on_ready: Callable[[], None]) -> None:
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody stands between: no client says for another where it comes from
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        ssl_certfile=tls.cert,
        ssl_keyfile=tls.key,
    )
    # uvicorn raises the signal that stopped it once more when it is done: the default would end us before the clean-up.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    # A thread that computes keeps the event loop waiting this long at most each time that it needs the interpreter.
    sys.setswitchinterval(SWITCH_SECONDS)
    stopped, server = threading.Event(), _Server(config, on_ready)
    threading.Thread(target=_renew, args=(state, config, stopped), name="tls", daemon=True).start()
    threading.Thread(target=_watch_folder, args=(state, server, stopped), name="state-folder", daemon=True).start()
    try:
        server.run(sockets=sockets)
    finally:
        stopped.set()
    if server.lost_folder:
        raise StateLost(
            f"The state folder {state} was removed or replaced under the running Skerry, which has stopped: nothing it "
            "promised would have been kept. Guests that ran go on with what they have open. Bring the folder back from "
            "a copy and start Skerry again, or end them with `skerry down`."
        )


def _watch_folder(state: Path, server: _Server, stopped: threading.Event) -> None:
    """Stop serving once the folder isn't the one that is locked."""
    lock = (state / "lock").stat().st_ino
    while not stopped.wait(FOLDER_CHECK_SECONDS):
        try:
            same = (state / "lock").stat().st_ino == lock
        except FileNotFoundError:
            same = False
        except OSError:
            continue  # a file system that fails now and then isn't gone
        if not same:
            log.critical("the state folder is gone; stopping", state=str(state))
            server.lost_folder = server.should_exit = True
            return


def authenticator(identity: Identity) -> Authenticate:
    """Checks an Authorization header; ARM's 401 for one that doesn't hold."""

    def authenticate(header: str | None) -> Principal:
        try:
            return identity.verify(header)
        except TokenError as error:
            challenge = {"WWW-Authenticate": error.challenge(identity.authority)}
            raise ArmError(error.code, str(error), status=401, headers=challenge) from error

    return authenticate


def _renew(state: Path, config: uvicorn.Config, stopped: threading.Event) -> None:
    """Renew the certificate before it ends, also while serving."""
    while not stopped.wait(TLS_CHECK_SECONDS):
        try:
            files = ensure_tls(state, NAMES)
            if config.ssl is not None:
                config.ssl.load_cert_chain(files.cert, files.key)
        except Exception:
            log.exception("the certificate could not be renewed; trying again later")


def _keep_vms(state: Path) -> bool:
    """What `skerry down` asked for; a plain SIGTERM keeps the guests."""
    try:
        return bool(json.loads((state / "stop.json").read_text()).get("keep_vms", True))
    except (OSError, ValueError):
        return True
