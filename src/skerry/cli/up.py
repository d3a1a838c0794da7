"""`skerry up`: serve in the foreground, or start oneself again in the background and wait until that serves."""

import os
import select
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import click

from skerry.cli import logfile
from skerry.cli.errors import CliError, reported
from skerry.cli.health import healthy
from skerry.cli.options import with_database, with_state
from skerry.cli.progress import Progress
from skerry.cli.state import PID_FILE, needed, running, write_running
from skerry.options import Accelerator, Options

START_SECONDS = 300
LOG = Path("logs") / "skerry.log"
_READY = b"ready"


@click.command()
@with_state
@click.option("--port", type=click.IntRange(1, 65535), default=8443, show_default=True)
@click.option(
    "--accel",
    type=click.Choice(["auto", "kvm", "tcg"]),
    default="auto",
    show_default=True,
    help="How guests' CPUs run. auto: KVM if it really works here.",
)
@click.option("--detach", is_flag=True, help="Go on in the background; return once it serves.")
@click.option(
    "--simulate", type=click.IntRange(0), default=0, metavar="N", help="N fake hosts instead of this machine."
)
@with_database
@click.option(
    "--warm",
    type=click.Choice(["on", "off"]),
    default="on",
    show_default=True,
    help="New VMs continue from the memory of one that was booted before, where there is such a template.",
)
@click.option(
    "--warm-memory",
    type=click.FloatRange(0.25),
    metavar="GIB",
    help="Memory that templates may take.  [default: an eighth of this machine's]",
)
@click.option(
    "--warm-disk",
    type=click.FloatRange(0.25),
    metavar="GIB",
    help="Disk space that templates may take.  [default: a tenth of the file system]",
)
@click.option(
    "--standby",
    type=click.IntRange(0, 16),
    default=2,
    show_default=True,
    metavar="N",
    help="Machines that stand by for each image and size in use, paused, so that a new VM needs only its identity. "
    "Fewer, when memory is short.",
)
@click.option(
    "--cpus",
    type=click.IntRange(1, 4096),
    metavar="N",
    help="CPUs that guests are promised; each is shared by up to 8 vCPUs.  [default: those that Skerry may use]",
)
@click.option(
    "--memory",
    type=click.FloatRange(0.5),
    metavar="GIB",
    help="Memory that guests are promised. More than there is suits guests that idle: should all want theirs, the "
    "kernel ends some.  [default: this machine's less 1 GiB]",
)
@click.option("--report-to", type=int, hidden=True, help="Descriptor that hears how the start went.")
def up(
    *,
    state: Path,
    port: int,
    accel: Accelerator,
    detach: bool,
    simulate: int,
    database: str | None,
    warm: str,
    warm_memory: float | None,
    warm_disk: float | None,
    standby: int,
    cpus: int | None,
    memory: float | None,
    report_to: int | None,
) -> None:
    """Start Skerry on this machine."""
    options = Options(port, accel, simulate, database, warm == "on", warm_memory, warm_disk, standby, cpus, memory)
    if found := running(state):
        click.echo(f"Skerry runs already: {found.base_url}, pid {found.pid}, state in {state}.")
    elif detach:
        _detach(state, options)
    else:
        _serve(state, options, report_to)


def _serve(state: Path, options: Options, report_to: int | None) -> None:
    base_url = f"https://localhost:{options.port}"

    def ready() -> None:
        write_running(state, options.port, base_url)
        if report_to is None:
            click.echo(f"Skerry serves {base_url}. State is in {state}.")
        _report(report_to, _READY)

    try:
        if report_to is not None:
            _go_to_background(state)
        with reported(*_start_errors()):
            from skerry.server import serve

            serve(state, options, ready)
    except CliError as error:
        _report(report_to, str(error).encode())
        raise
    except Exception:
        if report_to is not None:
            traceback.print_exc()  # into the log, whose end the parent shows
        raise
    finally:
        _forget(state)


def _go_to_background(state: Path) -> None:
    try:
        logfile.take_output(state / LOG)
    except OSError as error:
        raise CliError(
            f"{state / LOG} can't be written: {error.strerror}. Name another --state, or use sudo."
        ) from error
    os.chdir("/")


def _start_errors() -> tuple[type[Exception], ...]:
    from skerry.host.errors import HostError
    from skerry.identity.errors import IdentityError
    from skerry.server import StartError

    return StartError, HostError, IdentityError


def _forget(state: Path) -> None:
    """Remove the pid file if it is ours: another Skerry may hold the folder and have refused us."""
    found = running(state)
    if found is not None and found.pid == os.getpid():
        (state / PID_FILE).unlink(missing_ok=True)


def _report(descriptor: int | None, message: bytes) -> None:
    if descriptor is None:
        return
    # The parent may have been stopped by Ctrl-C: nobody listens then, and that's fine.
    with suppress(OSError), os.fdopen(descriptor, "wb") as pipe:
        pipe.write(message)


def _detach(state: Path, options: Options) -> None:
    from skerry.host.run import start

    reader, writer = os.pipe()
    argv = [sys.executable, "-m", "skerry", "up", "--state", str(state), "--port", str(options.port)]
    argv += ["--accel", options.accel, "--simulate", str(options.simulate)]
    argv += ["--warm", "on" if options.warm else "off", "--report-to", str(writer)]
    argv += ["--warm-memory", str(options.warm_memory)] if options.warm_memory else []
    argv += ["--warm-disk", str(options.warm_disk)] if options.warm_disk else []
    argv += ["--standby", str(options.standby)]
    argv += ["--cpus", str(options.cpus)] if options.cpus else []
    argv += ["--memory", str(options.memory)] if options.memory else []
    # In the environment, which other users can't read: the URL may have a password.
    environment = {**os.environ, **({"SKERRY_DATABASE": options.database} if options.database else {})}
    child = start(argv, pass_fds=[writer], environment=environment)
    os.close(writer)
    with Progress("Starting Skerry") as progress:
        _await_ready(reader, child, state, progress)
        progress.phase("waiting for its first answer")
        _await_health(state, progress)
    found = needed(state)
    click.echo(f"Skerry serves {found.base_url} (pid {found.pid}). State is in {state}, the log in {state / LOG}.")


def _await_ready(reader: int, child: subprocess.Popen[bytes], state: Path, progress: Progress) -> None:
    progress.phase("waiting until it is ready")
    message = b""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while progress.seconds < START_SECONDS:
            if select.select([pipe], [], [], 0.2)[0]:
                part = pipe.read(65536)
                if not part:
                    break
                message += part
            progress.tick()
        else:
            child.terminate()
            raise CliError(f"Skerry wasn't ready after {START_SECONDS} s and was stopped.{_log_end(state)}")
    if message == _READY:
        return
    child.wait()
    if message:
        raise CliError(message.decode(errors="replace"))
    raise CliError(f"Skerry ended while it started (status {child.returncode}).{_log_end(state)}")


def _await_health(state: Path, progress: Progress) -> None:
    while not healthy(needed(state).base_url, state):
        if progress.seconds > START_SECONDS:
            raise CliError(f"Skerry runs but doesn't answer.{_log_end(state)}")
        time.sleep(0.2)
        progress.tick()


def _log_end(state: Path) -> str:
    path = state / LOG
    end = logfile.tail(path)
    return f" The end of {path}:\n{end}" if end else f" {path} is empty."
