"""`skerry down`: stop Skerry, and its guests and networks unless they are to be kept."""

import os
import signal
import time
from pathlib import Path

import click

from skerry.cli.errors import CliError, reported
from skerry.cli.logs import quiet
from skerry.cli.options import with_state
from skerry.cli.progress import Progress
from skerry.cli.state import PID_FILE, STOP_FILE, Running, running, write_json

# A guest that ignores ACPI is powered off hard after a minute; several are stopped side by side.
STOP_SECONDS = 300


@click.command()
@with_state
@click.option("--keep-vms", is_flag=True, help="Stop the control plane only; guests run on and are found again.")
def down(state: Path, keep_vms: bool) -> None:
    """Stop Skerry on this machine."""
    found = running(state)
    if found is not None:
        _stop(found, state, keep_vms)
    elif keep_vms or not state.is_dir():
        click.echo(f"Skerry isn't running on {state}.")
    else:
        click.echo(f"Skerry isn't running on {state}.")
        _clean(state)


def _stop(server: Running, state: Path, keep_vms: bool) -> None:
    try:
        write_json(state / STOP_FILE, {"keep_vms": keep_vms})
    except OSError as error:
        raise CliError(
            f"{state / STOP_FILE} can't be written: {error.strerror}. Nothing was stopped. Make room there first, or "
            f"stop Skerry alone with `kill {server.pid}`: guests run on."
        ) from error
    try:
        os.kill(server.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise CliError(f"Skerry (pid {server.pid}) belongs to another user. Stop it as that user (sudo?).") from error
    with Progress("Stopping Skerry") as progress:
        progress.phase("it stops; guests run on" if keep_vms else "guests shut down")
        while server.alive():
            if progress.seconds > STOP_SECONDS:
                raise CliError(
                    f"Skerry (pid {server.pid}) hasn't stopped after {STOP_SECONDS} s. {state}/logs/skerry.log says "
                    "what it waits for; run `skerry down` again to go on waiting."
                )
            time.sleep(0.1)
            progress.tick()
    # A server that ends in order removes its pid file last.
    if not keep_vms and (state / PID_FILE).exists():
        click.echo("Skerry ended before it was done.")
        _clean(state)
        return
    kept = "Guests run on; `skerry up` finds them again." if keep_vms else "No guest and no network of it is left."
    click.echo(f"Skerry has stopped. {kept}")


def _clean(state: Path) -> None:
    from skerry.host.errors import HostError
    from skerry.server import StartError, clean

    quiet()
    click.echo("Stopping the guests and removing the networks that it left, if any.")
    with reported(StartError, HostError):
        clean(state)
    (state / PID_FILE).unlink(missing_ok=True)
    click.echo("Nothing of it runs any more. Disks and settings are kept.")
