"""Brings a database to this version's schema. Alembic is imported only when there is something to do.

All of it is one transaction of the one writer: a second control plane that starts meanwhile waits and finds it done.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from skerry.store.database import BadDatabase, Database
from skerry.store.sql import Session

HEAD = "0002"


class NewerState(Exception):
    """The database was made by a newer Skerry; this one must not touch it."""


class OtherInstallation(Exception):
    """The database belongs to another installation than the state folder's keys."""


def prepare(at: str | Path, installation: str = "", copies: Path | None = None) -> None:
    """Create the tables or migrate them, after a copy to `copies` (SQLite's default: where the database is).

    With `installation`, the subscription of the state folder's keys, the database becomes that one's, or has to be.
    Raises NewerState for a schema that this version doesn't know, OtherInstallation, BadDatabase for one that can't be
    used, StoreUnavailable.
    """
    database = Database(at)
    try:
        if not database.is_postgresql:
            check_known(_sqlite_revision(Path(str(database.url.database))), str(database))
        with writing(database) as session:
            connection = session.connection
            found = revision(connection)
            check_known(found, str(database))
            if found != HEAD:
                _check_encoding(database, connection)
                if found is not None:
                    _copy(database, connection, copies)
                upgrade(connection, HEAD)
            if installation:
                _claim(connection, installation, str(database))
    finally:
        database.close()


@contextmanager
def reading(database: Database) -> Iterator[Session]:
    """A snapshot on a connection of its own, without a Store."""
    yield from _transaction(database, database.begin_read(), "ROLLBACK")


@contextmanager
def writing(database: Database) -> Iterator[Session]:
    """One transaction of the one writer on a connection of its own, before there is a Store."""
    yield from _transaction(database, database.begin_write(), "COMMIT")


def _transaction(database: Database, begin: str, end: str) -> Iterator[Session]:
    session = database.connect()
    try:
        session.control(begin)
        # To SQLAlchemy and Alembic it is theirs to use, not to end.
        with session.connection.begin():
            yield session
            session.control(end)
    except BaseException as error:
        if database.outage(error):
            raise database.unavailable(error) from error
        raise
    finally:
        session.close()


def revision(connection: Connection) -> str | None:
    """The schema that a database has; None for one without our tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return str(found) if found else None


def _sqlite_revision(path: Path) -> str | None:
    """The schema of a file, without the settings of ours that would change it."""
    if not path.exists():
        return None
    with closing(sqlite3.connect(path)) as connection:
        known = connection.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    return str(row[0]) if row else None


def check_known(found: str | None, what: str) -> None:
    """Raises NewerState for a schema that this version doesn't know."""
    if found is not None and found > HEAD:
        raise NewerState(
            f"{what} was made by a newer Skerry (schema {found}, this one knows {HEAD}). Nothing was changed: "
            "install the newer version again, or use another state folder."
        )


def upgrade(connection: Connection, to: str) -> None:
    """Run the migrations up to a revision, in the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _claim(connection: Connection, installation: str, what: str) -> None:
    """Make the database this installation's if it is nobody's yet."""
    query = text("SELECT value FROM settings WHERE name = 'installation'")
    found = connection.execute(query).scalar_one_or_none()
    if found is None:
        insert = text("INSERT INTO settings (name, value) VALUES ('installation', :installation)")
        connection.execute(insert, {"installation": installation})
    elif found != installation:
        raise OtherInstallation(
            f"{what} belongs to the installation {found}, the keys of this state folder to {installation}. Nothing was "
            "changed: for one more control plane of that installation copy STATE/keys and STATE/tls of it into a new "
            "state folder first; else name another database."
        )


def _check_encoding(database: Database, connection: Connection) -> None:
    if not database.is_postgresql:
        return
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise BadDatabase(f"{database} has the encoding {encoding}: create it with ENCODING 'UTF8' TEMPLATE template0.")


def _copy(database: Database, connection: Connection, copies: Path | None) -> None:
    if database.is_postgresql:
        from skerry.store.archive import write_archive

        if copies is None:
            raise BadDatabase(f"{database} has an older schema: `skerry up` migrates it.")
        write_archive(copies / f"database.before-{HEAD}.tar.gz", connection, {}, replace=True)
        return
    path = Path(str(database.url.database))
    to = (copies or path.parent) / f"{path.name}.before-{HEAD}"
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
