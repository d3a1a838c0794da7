"""A copy of all tables in one file, the same for both databases: how a database is backed up, moved and restored.

A gzipped tar, in this order:

    tables/NAME.jsonl   the columns' names, then one line for each row; bytes are JSON text and stand there as text
    …                   what else belongs to it (`skerry backup` adds the state folder's keys)
    manifest.json       format, version, schema, installation, rows of each table, and the SHA-256 of every other member

The manifest comes last, so that a file that was cut off has none.
"""

import gzip
import hashlib
import io
import os
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import orjson
from sqlalchemy import Column, Connection, LargeBinary, MetaData, Table, insert, inspect, select

from skerry import __version__

FORMAT = 1
ROWS = 500  # that are read or written at once
_OURS = {"leases"}  # of processes that live now: no part of a copy
_MEMBER_BYTES = 1 << 20  # of what isn't a table: keys, certificates


class BadArchive(Exception):
    """The file is no whole backup; the message says what is wrong with it."""


class Manifest(msgspec.Struct, forbid_unknown_fields=False):
    """What a backup says of itself. `created`: seconds since the epoch; `sha256`, `rows`: by member, by table."""

    format: int
    version: str
    schema: str
    installation: str
    created: float
    rows: dict[str, int]
    sha256: dict[str, str]


def write_archive(path: Path, connection: Connection, files: Mapping[str, bytes], *, replace: bool = False) -> Manifest:
    """Write all tables as the connection's transaction sees them, and `files` by member name; readable by its owner.

    The file is there whole or not at all. Raises FileExistsError unless it may `replace` one.
    """
    if path.exists() and not replace:
        raise FileExistsError(path)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as name:
        temporary = Path(name) / "archive"
        with temporary.open("xb") as file:
            temporary.chmod(0o600)
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as tar:
                manifest = _write(tar, connection, files, Path(name))
            file.flush()
            os.fsync(file.fileno())
        if path.exists() and not replace:
            raise FileExistsError(path)
        temporary.replace(path)
    return manifest


def _write(tar: tarfile.TarFile, connection: Connection, files: Mapping[str, bytes], folder: Path) -> Manifest:
    tables = _tables(connection)
    schema = connection.execute(select(tables["alembic_version"])).scalar_one()
    manifest = Manifest(FORMAT, __version__, schema, _installation(connection, tables), time.time(), {}, {})
    for table in tables.values():
        if table.name in _OURS | {"alembic_version"}:
            continue
        with (folder / table.name).open("w+b") as file:
            manifest.rows[table.name] = _dump(connection, table, file)
            _add(tar, manifest, f"tables/{table.name}.jsonl", file)
        (folder / table.name).unlink()
    for member, content in files.items():
        _add(tar, manifest, member, io.BytesIO(content))
    text = msgspec.json.format(msgspec.json.encode(manifest))
    _add(tar, Manifest(FORMAT, "", "", "", 0, {}, {}), "manifest.json", io.BytesIO(text))
    return manifest


def _installation(connection: Connection, tables: Mapping[str, Table]) -> str:
    settings = tables.get("settings")
    if settings is None:  # a schema before there were settings
        return ""
    query = select(settings.c.value).where(settings.c.name == "installation")
    return connection.execute(query).scalar_one_or_none() or ""


def _tables(connection: Connection) -> dict[str, Table]:
    """The tables that are there, those that others refer to first."""
    inspector, metadata = inspect(connection), MetaData()
    names = [name for name, _ in inspector.get_sorted_table_and_fkc_names() if name is not None]
    return {
        name: Table(name, metadata, *(Column(found["name"], found["type"]) for found in inspector.get_columns(name)))
        for name in names
    }


def _dump(connection: Connection, table: Table, file: Any) -> int:
    """Write a table's rows to `file`; how many."""
    file.write(orjson.dumps([column.name for column in table.columns]) + b"\n")
    count = 0
    query = select(table).execution_options(yield_per=ROWS)
    for row in connection.execute(query):
        file.write(orjson.dumps([bytes(v).decode() if isinstance(v, bytes | memoryview) else v for v in row]) + b"\n")
        count += 1
    return count


def _add(tar: tarfile.TarFile, manifest: Manifest, name: str, file: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = file.seek(0, os.SEEK_END), 0o600, int(time.time())
    file.seek(0)
    manifest.sha256[name] = _sum(file)
    file.seek(0)
    tar.addfile(info, file)


class Archive:
    """An archive that was found whole."""

    def __init__(self, tar: tarfile.TarFile, what: str) -> None:
        self._tar = tar
        self.manifest = _verified(tar, what)

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["Archive"]:
        """Open and check every byte. Raises BadArchive, OSError."""
        try:
            with tarfile.open(path, "r:gz") as tar:
                yield cls(tar, str(path))
        except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise BadArchive(f"{path} is no backup of Skerry's or is damaged: {error}. Nothing was changed.") from error

    def files(self) -> dict[str, bytes]:
        """The members that aren't tables, by name."""
        return {
            name: self._open(name).read(_MEMBER_BYTES)
            for name in self.manifest.sha256
            if not name.startswith("tables/")
        }

    def load(self, connection: Connection) -> None:
        """Put the rows into the tables, which have the archive's schema and are empty."""
        for table in _tables(connection).values():
            if table.name in self.manifest.rows:
                self._load(connection, table)

    def _load(self, connection: Connection, table: Table) -> None:
        member = self._open(f"tables/{table.name}.jsonl")
        names = orjson.loads(member.readline())
        binary = {column.name for column in table.columns if isinstance(column.type, LargeBinary)}
        rows: list[dict[str, Any]] = []
        for line in member:
            values = zip(names, orjson.loads(line), strict=True)
            rows.append({name: v.encode() if name in binary and v is not None else v for name, v in values})
            if len(rows) == ROWS:
                connection.execute(insert(table), rows)
                rows = []
        if rows:
            connection.execute(insert(table), rows)

    def _open(self, name: str) -> Any:
        return self._tar.extractfile(name)


def _verified(tar: tarfile.TarFile, what: str) -> Manifest:
    """The manifest, once every member has the sum that it tells. Raises BadArchive."""
    sums = {}
    manifest = None
    for member in tar:
        content = tar.extractfile(member)
        if content is None:
            raise BadArchive(f"{what} holds '{member.name}', which is no file: it is no backup of Skerry's.")
        if member.name == "manifest.json":
            manifest = content.read()
        else:
            sums[member.name] = _sum(content)
    if manifest is None:
        raise BadArchive(f"{what} is no backup of Skerry's, or was cut off: it has no manifest. Nothing was changed.")
    try:
        found = msgspec.json.decode(manifest, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BadArchive(f"The manifest of {what} is damaged: {error}. Nothing was changed.") from error
    if found.sha256 != sums:
        wrong = sorted(name for name in found.sha256.keys() | sums.keys() if found.sha256.get(name) != sums.get(name))
        raise BadArchive(f"{what} is damaged in {', '.join(wrong)}. Nothing was changed: use another copy.")
    return found


def _sum(file: Any) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()
