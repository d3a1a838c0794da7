"""`skerry image`: the images that virtual machines can be made of.

All but `warm` work on the state folder itself, whether Skerry runs or not.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from skerry.cli.errors import ApiError, CliError, reported
from skerry.cli.logs import quiet
from skerry.cli.options import with_output, with_state
from skerry.cli.output import Output
from skerry.cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skerry.cli.client import Client
    from skerry.host.storage.library import Library
    from skerry.hostspec import ImageObserved

WARM_SECONDS = 30 * 60


@click.group()
def image() -> None:
    """Images that virtual machines are made of."""
    quiet()


@image.command()
@click.argument("name")
@with_state
@with_output
def build(name: str, state: Path, output: Output) -> None:
    """Build an image from its distribution's packages (debian-12), or take it from the cache."""
    from skerry.imagebuilder import BuildError, default_cache
    from skerry.imagebuilder import build as build_image

    with reported(BuildError, *_errors()):
        with Progress(f"Building {name}") as progress:
            folder = build_image(name, default_cache(), progress.phase)
        found = _library(state).add_built(folder)
    _print([found], output)


@image.command("list")
@with_state
@with_output
def list_(state: Path, output: Output) -> None:
    """List the images and the URNs that lead to them."""
    with reported(*_errors()):
        _print(_library(state).list(), output, _warm_sizes(state))


@image.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="What it is called here; the file's name if not given.")
@click.option("--os-type", type=click.Choice(["Linux", "Windows"]), default="Linux", show_default=True)
@click.option(
    "--generation",
    type=click.Choice(["V1", "V2"]),
    default="V2",
    show_default=True,
    help="What it boots by. V1: BIOS, V2: UEFI.",
)
@with_state
@with_output
def import_(
    *,
    file: Path,
    name: str | None,
    os_type: Literal["Linux", "Windows"],
    generation: Literal["V1", "V2"],
    state: Path,
    output: Output,
) -> None:
    """Import a disk image (qcow2, raw or fixed VHD) after checking it."""
    with Progress(f"Importing {file.name}") as progress, reported(*_errors()):
        progress.phase("checking and copying")
        found = _library(state).import_file(file, name or file.stem, os_type=os_type, generation=generation)
    _print([found], output)


@image.command()
@click.argument("urn")
@click.argument("name")
@with_state
def alias(urn: str, name: str, state: Path) -> None:
    """Let a script that asks for URN (publisher:offer:sku:version) get the image NAME."""
    with reported(*_errors()):
        _library(state).alias(urn, name)
    click.echo(f"{urn} now leads to {name}.")


@image.command()
@click.argument("name")
@click.option("--size", default="Standard_B1s", show_default=True, help="The VM size it is for.")
@with_state
def warm(name: str, size: str, state: Path) -> None:
    """Make the template that new VMs of an image and a size start warm from, now; it is tried before this returns.

    Needs a Skerry that runs. Else a template is made in the background after the first VM of its kind.
    """
    from skerry.cli.client import Client

    client = Client.of(state)
    with Progress(f"Warming {name} for {size}") as progress:
        progress.phase("ordering a template")
        path = f"{client.subscription}/providers/Skerry.Admin/templates"
        ordered = client.request("POST", path, {"image": name, "size": size}).json()
        progress.phase("a guest boots, is saved, and a clone of it is tried")
        while waiting := [one for one in _answers(client, path, ordered) if one["state"] == "making"]:
            for _ in range(5):
                time.sleep(0.2)
                progress.tick()
            if progress.seconds > WARM_SECONDS:
                raise CliError(f"After {WARM_SECONDS // 60} minutes it is still being made on {waiting[0]['host']}.")
        failed = [one for one in _answers(client, path, ordered) if one["state"] == "failed"]
    if failed:
        raise CliError(f"{name} can't start warm for {size}: {failed[0]['message'].rstrip('.')}. VMs of it start cold.")
    click.echo(f"New VMs of {name} with {size} start warm from now on.")


def _answers(client: "Client", path: str, ordered: dict[str, Any]) -> list[dict[str, Any]]:
    """What the hosts say of an order; one that hasn't taken it up yet is making it."""
    shown = {one["host"]: one for one in client.get(path)["value"] if one["id"] == ordered["id"]}
    nothing = {"order": 0}
    return [
        found if (found := shown.get(host, nothing))["order"] >= number else {"host": host, "state": "making"}
        for host, number in ordered["orders"].items()
    ]


def _warm_sizes(state: Path) -> dict[str, list[str]]:
    """For which sizes there is a template, by image; nothing is known while no Skerry runs."""
    from skerry.cli.client import Client
    from skerry.cli.state import running

    found: dict[str, list[str]] = {}
    if running(state) is None:
        return found
    with suppress(CliError, ApiError):
        client = Client.of(state)
        for one in client.get(f"{client.subscription}/providers/Skerry.Admin/templates")["value"]:
            if one["state"] == "ready":
                found.setdefault(one["image"], []).extend(one["sizes"])
    return found


@image.command()
@click.argument("name")
@with_state
def remove(name: str, state: Path) -> None:
    """Remove an image that no disk is made of."""
    with reported(*_errors()):
        _library(state).remove(name)
    click.echo(f"Removed {name}.")


def _library(state: Path) -> "Library":
    from skerry.host.storage.library import Library

    return Library(state)


def _errors() -> tuple[type[Exception], ...]:
    from skerry.host.errors import HostError

    return (HostError,)


def _print(images: "Sequence[ImageObserved]", output: Output, warm: "Mapping[str, list[str]] | None" = None) -> None:
    import msgspec.json

    warm = warm or {}
    rows = [
        {
            "Name": found.alias or found.id,
            "Urn": f"{found.publisher}:{found.offer}:{found.sku}:{found.version}",
            "SizeGiB": f"{found.size_bytes / 2**30:.1f}",
            "Os": found.os_type,
            "Id": found.id,
            "AlsoUrns": ", ".join(found.aliases),
            "Warm": ", ".join(warm.get(found.id, ())),
        }
        for found in images
    ]
    # Through JSON: a query knows lists, no tuples.
    data = msgspec.json.decode(msgspec.json.encode(images))
    output.show([{**one, "warm_sizes": warm.get(one["id"], [])} for one in data], rows)
