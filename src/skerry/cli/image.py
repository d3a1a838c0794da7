"""`skerry image`: the images that virtual machines can be made of. Works on the state folder itself, running or not."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from skerry.cli.errors import reported
from skerry.cli.logs import quiet
from skerry.cli.options import with_output, with_state
from skerry.cli.output import Output
from skerry.cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skerry.host.storage.library import Library
    from skerry.hostspec import ImageObserved


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
        _print(_library(state).list(), output)


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


def _print(images: "Sequence[ImageObserved]", output: Output) -> None:
    import msgspec.json

    rows = [
        {
            "Name": found.alias or found.id,
            "Urn": f"{found.publisher}:{found.offer}:{found.sku}:{found.version}",
            "SizeGiB": f"{found.size_bytes / 2**30:.1f}",
            "Os": found.os_type,
            "Id": found.id,
            "AlsoUrns": ", ".join(found.aliases),
        }
        for found in images
    ]
    # Through JSON: a query knows lists, no tuples.
    output.show(msgspec.json.decode(msgspec.json.encode(images)), rows)
