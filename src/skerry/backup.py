"""Backups of one installation: its database, and what of the state folder can't be made anew. No disks, no images.

STATE/skerry.db or PostgreSQL ─┐
STATE/keys, tls                ├─▶ one file ─▶ a new STATE, in either database
STATE/images/aliases.json     ─┘
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import inspect, select, update

from skerry.identity.files import write
from skerry.store import BadDatabase
from skerry.store.archive import Archive, BadArchive, Manifest, write_archive
from skerry.store.database import Database
from skerry.store.location import FILE, locate, remember
from skerry.store.migrate import HEAD, check_known, reading, revision, upgrade, writing
from skerry.store.tables import host_specs, hosts, metadata

FOLDERS = ("keys", "tls")
ALIASES = "images/aliases.json"
_MEMBER = re.compile(r"(keys|tls)/[A-Za-z0-9_-][A-Za-z0-9._-]*|images/aliases\.json")
# Restored specs count as newer than any that an agent has seen: time goes on from a point in the past.
REVISIONS = 1_000_000


class BackupError(Exception):
    """It can't be backed up or restored; the message says why. What was there is as it was."""


def backup(state: Path, url: str | None, to: Path) -> Manifest:
    """Write everything but disks and images to the file `to`, consistent also while Skerry runs.

    Raises BackupError, BadDatabase, StoreUnavailable, OSError.
    """
    at = locate(state, url)
    if isinstance(at, Path) and not at.exists():
        raise BackupError(f"{state} has no {FILE}: no Skerry was ever started on it. Nothing was written.")
    if not to.parent.is_dir():
        raise BackupError(f"{to.parent} is no folder. Nothing was written.")
    files = {str(path.relative_to(state)): path.read_bytes() for path in _files(state)}
    database = Database(at)
    try:
        with reading(database) as session:
            return write_archive(to, session.connection, files)
    except FileExistsError as error:
        raise BackupError(f"{to} exists already and was left as it is: name another file, or remove it.") from error
    finally:
        database.close()


def _files(state: Path) -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((state / folder).glob("*")) if path.is_file()]
    return [*found, *([state / ALIASES] if (state / ALIASES).exists() else [])]


def restore(file: Path, state: Path, url: str | None) -> Manifest:
    """Make a new state folder of a backup, with its tables in SQLite there or in the empty database at `url`.

    Raises BackupError, BadArchive, NewerState, BadDatabase, StoreUnavailable, OSError. Nothing stays of one that fails.
    """
    if state.exists() and (not state.is_dir() or any(state.iterdir())):
        raise BackupError(f"{state} isn't empty, and was left as it is: restore into a new folder.")
    with Archive.open(file) as archive, _staged(state) as folder:
        check_known(archive.manifest.schema, str(file))
        for name, content in archive.files().items():
            if not _MEMBER.fullmatch(name):
                raise BadArchive(f"{file} holds '{name}', which no backup of Skerry's has. Nothing was changed.")
            write(folder / name, content)
        at = locate(folder, url)
        if isinstance(at, Path):
            at.touch(mode=0o600)  # it holds password hashes
        _fill(at, archive)
        remember(folder, at)
        return archive.manifest


@contextmanager
def _staged(state: Path) -> Iterator[Path]:
    """A folder beside `state` that takes its place at the end, or goes."""
    state.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{state.name}.", dir=state.parent))
    try:
        yield folder
        folder.chmod(0o711)
        folder.replace(state)
    except BaseException:
        shutil.rmtree(folder)
        raise


def _fill(at: str | Path, archive: Archive) -> None:
    """Make the tables as they were, then bring them to this version's schema."""
    database = Database(at)
    try:
        with writing(database) as session:
            connection = session.connection
            there = sorted(set(inspect(connection).get_table_names()) & metadata.tables.keys())
            if revision(connection) is not None or there:
                raise BadDatabase(f"{database} isn't empty, and was left as it is: create a new database.")
            upgrade(connection, archive.manifest.schema)
            archive.load(connection)
            upgrade(connection, HEAD)
            connection.execute(update(hosts).values(revision=hosts.c.revision + REVISIONS, applied=0))
            newest = select(hosts.c.revision).where(hosts.c.id == host_specs.c.host).scalar_subquery()
            connection.execute(update(host_specs).values(revision=newest))
    finally:
        database.close()
