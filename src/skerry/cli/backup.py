"""`skerry backup` and `skerry restore`. They work on the state folder and its database, whether Skerry runs or not."""

from datetime import UTC, datetime
from pathlib import Path

import click

from skerry.cli.errors import CliError, reported
from skerry.cli.options import with_database, with_state
from skerry.cli.progress import Progress


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_state
@with_database
def backup(file: Path, state: Path, database: str | None) -> None:
    """Write resources, operations and keys to FILE, also while Skerry runs.

    FILE doesn't hold disks and images: copy STATE/disks and STATE/images as well, of stopped VMs. It holds the keys of
    this Skerry and the passwords' hashes: keep it as safe as those.
    """
    from skerry.backup import backup as write

    with reported(*_errors()), _files(), Progress(f"Writing {file}"):
        found = write(state, database, file.absolute())
    click.echo(
        f"{file} holds {found.rows['resources']} resources, {file.stat().st_size / 1e6:.1f} MB, for its owner only. "
        f"Disks and images are not in it: copy {state}/disks and {state}/images too."
    )


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_state
@with_database
def restore(file: Path, state: Path, database: str | None) -> None:
    """Make a new state folder of the backup FILE; with --database in an empty PostgreSQL database.

    Copy disks and images into it before `skerry up`: a VM whose OS disk isn't there gets a new one from its image.
    """
    from skerry.backup import restore as read

    with reported(*_errors()), _files(), Progress(f"Reading {file}"):
        found = read(file, state, database)
    when = datetime.fromtimestamp(found.created, UTC).strftime("%Y-%m-%d %H:%M UTC")
    click.echo(
        f"{state} has {found.rows['resources']} resources as they were on {when}. Put the disks into {state}/disks and "
        f"the images into {state}/images now, then start it: skerry up --state {state}. VMs and networks of which the "
        "backup knows nothing end then; their disks stay where they are."
    )


def _errors() -> tuple[type[Exception], ...]:
    from skerry.backup import BackupError
    from skerry.store import BadDatabase, StoreUnavailable
    from skerry.store.archive import BadArchive
    from skerry.store.migrate import NewerState

    return BackupError, BadArchive, BadDatabase, NewerState, StoreUnavailable


class _files:
    """Turns what the file system refuses into an error that speaks to the user."""

    def __enter__(self) -> None: ...

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise CliError(f"{error.filename}: {error.strerror}. Nothing was changed.") from error
