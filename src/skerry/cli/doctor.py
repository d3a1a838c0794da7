"""`skerry doctor`: each thing that Skerry needs of this machine, what is there, and how to mend what isn't."""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from skerry.cli.logs import quiet
from skerry.cli.options import with_output, with_state
from skerry.cli.output import Output, table
from skerry.cli.state import running
from skerry.host.checks import Check

DISK_BYTES = 10 << 30
MEMORY_BYTES = 2 << 30
_GREEN, _RED = "green", "red"


@click.command()
@with_state
@click.option("--port", type=click.IntRange(1, 65535), default=8443, show_default=True)
@with_output
def doctor(state: Path, port: int, output: Output) -> None:
    """Check this machine; the exit code is 1 when something that Skerry needs is missing."""
    quiet()
    checks = list(_checks(state, port))
    data = [{"name": c.name, "ok": c.ok, "detail": c.detail, "mend": c.mend} for c in checks]
    if output.form == "json" or output.query is not None:
        output.show(data, data)
    else:
        _print(checks)
    sys.exit(0 if all(check.ok for check in checks) else 1)


def _checks(state: Path, port: int) -> Iterator[Check]:
    from skerry.host.compute.checks import compute_checks
    from skerry.host.network.checks import check as network_checks

    yield from _guarded("compute", compute_checks)
    yield from _guarded("network", network_checks)
    yield rights()
    yield disk(state)
    yield memory()
    yield port_free(state, port)
    yield ssh_client()
    yield azure_cli()


def _guarded(name: str, checks: Callable[[], list[Check]]) -> list[Check]:
    """A check that itself fails is a finding, and the others are still wanted."""
    try:
        return checks()
    except Exception as error:
        return [Check(name, False, f"could not be checked: {type(error).__name__}: {error}", "Mend this first.")]


def rights() -> Check:
    """Namespaces, taps and firewall rules need root (or the same rights inside a user namespace)."""
    if os.geteuid() == 0:
        return Check("rights", True, "root", "")
    return Check("rights", False, f"uid {os.geteuid()}", "Run Skerry as root: sudo skerry up")


def disk(state: Path) -> Check:
    """Room for an image and a few guests' disks."""
    folder = next(path for path in (state, *state.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    mend = "" if free >= DISK_BYTES else f"Make {DISK_BYTES >> 30} GiB free there, or name another --state."
    return Check("disk", not mend, f"{free / 2**30:.1f} GiB free in {folder}", mend)


def memory() -> Check:
    """Room for one guest at least."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) << 10
    mend = "" if free >= MEMORY_BYTES else f"Free memory: guests need {MEMORY_BYTES >> 30} GiB to begin with."
    return Check("memory", not mend, f"{free / 2**30:.1f} GiB available", mend)


def port_free(state: Path, port: int) -> Check:
    """The port is free, or it is this Skerry that holds it."""
    found = running(state)
    if found is not None:
        return Check("port", True, f"Skerry serves on {found.port}", "")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return Check("port", False, f"{port}: {error.strerror}", "Stop what uses it, or choose another --port.")
    return Check("port", True, f"{port} is free", "")


def ssh_client() -> Check:
    """`skerry vm ssh` runs it."""
    found = shutil.which("ssh")
    return Check("ssh", found is not None, found or "not found", "" if found else "apt-get install openssh-client")


def azure_cli() -> Check:
    """Optional: everything but `az` itself works without."""
    found = os.environ.get("SKERRY_AZ") or shutil.which("az")
    return Check("az (optional)", True, found or "not found: `make az` installs one beside Skerry", "")


def _print(checks: list[Check]) -> None:
    rows = [{"": "ok" if c.ok else "MISSING", "Check": c.name, "Found": c.detail, "To do": c.mend} for c in checks]
    header, line, *body = table(rows).splitlines()
    click.echo(f"{header}\n{line}")
    for text, check in zip(body, checks, strict=True):
        # click drops the colours by itself when this is no terminal.
        click.echo(click.style(text, fg=_GREEN if check.ok else _RED))
