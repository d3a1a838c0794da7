"""`skerry vm ssh` and `skerry vm run`: the machine's own ssh client, pointed at the guest.

Host keys are kept per virtual machine under STATE, by vmId: a new guest at a used address is no alarm, and the
user's own known_hosts stays as it is.
"""

import os
import shutil
import socket
from pathlib import Path
from typing import NoReturn

import click

from skerry.cli.errors import CliError
from skerry.cli.keys import GENERATED, private_keys
from skerry.cli.machines import Machine, Target
from skerry.cli.options import with_target

PORT_ASIDE = 20022
_PASS_THROUGH = {"ignore_unknown_options": True, "allow_interspersed_args": False}
_USER = click.option("-l", "--user", help="Who to log in as; the administrator if not given.")


@click.command(context_settings=_PASS_THROUGH)
@with_target
@_USER
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(target: Target, command: tuple[str, ...], user: str | None) -> None:
    """Log in to a virtual machine, or run a command there: skerry vm ssh NAME [-- COMMAND]."""
    _execute(target, user, [], command)


@click.command(context_settings=_PASS_THROUGH)
@with_target
@_USER
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
def run(target: Target, command: tuple[str, ...], user: str | None) -> None:
    """Run a command in a virtual machine over SSH: never asks, ends with the command's exit code."""
    _execute(target, user, ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30"], command)


def _execute(target: Target, user: str | None, more: list[str], command: tuple[str, ...]) -> NoReturn:
    program = shutil.which("ssh")
    words = _words(command)
    if program is None:
        raise CliError("ssh isn't installed. Run: apt-get install openssh-client")
    _, machine = target.look()
    address = public_address(machine)
    login = f"{user or administrator(machine)}@{address}"
    more = [*options_of_port(address), *more]
    os.execv(program, ssh_arguments(target.state, str(machine.properties["vmId"]), login, more, words))


def _words(command: tuple[str, ...]) -> list[str]:
    """The command without the `--` that may begin it. An option in its place was meant for us, and came too late."""
    if command[:1] == ("--",):
        return list(command[1:])
    if command and command[0].startswith("-"):
        raise click.UsageError(f"'{command[0]}' comes after NAME: options go before it, commands after `--`.")
    return list(command)


def ssh_arguments(state: Path, vm_id: str, target: str, more: list[str], command: list[str]) -> list[str]:
    """ssh's argument list for the machine `vm_id` at `target` (user@address). Makes the known_hosts folder."""
    folder = state / "azure" / "known_hosts"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = [
        f"UserKnownHostsFile={_quoted(folder / vm_id)}",
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=accept-new",
        f"HostKeyAlias={vm_id}",
        "LogLevel=ERROR",
    ]
    keys = private_keys(state / GENERATED)
    return [
        "ssh",
        *(word for option in options for word in ("-o", option)),
        *(word for key in keys for word in ("-i", str(key))),
        *more,
        "--",
        target,
        *command,
    ]


def options_of_port(address: str) -> list[str]:
    """ssh's option where this host's own server has port 22 of every address and the guest's is forwarded aside."""
    try:
        socket.create_connection((address, PORT_ASIDE), timeout=1).close()
    except OSError:
        return []
    return ["-p", str(PORT_ASIDE)]


def public_address(machine: Machine) -> str:
    """Its first public address. Raises CliError when it has none."""
    addresses = str(machine.data["publicIps"])
    if not addresses:
        raise CliError(f"'{machine.name}' has no public address; give its NIC one, then try again.")
    return addresses.split(",", maxsplit=1)[0]


def administrator(machine: Machine) -> str:
    """The user that it was created with. Raises CliError for a machine that was made of a specialised disk."""
    user = (machine.properties.get("osProfile") or {}).get("adminUsername")
    if not user:
        raise CliError(f"'{machine.name}' wasn't created with a user name: name one with -l.")
    return str(user)


def _quoted(path: Path) -> str:
    """As ssh_config's reader wants a path: blanks quoted, % doubled."""
    return '"{}"'.format(str(path).replace("%", "%%"))
