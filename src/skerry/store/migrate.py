"""Brings a database to this version's schema. Alembic is imported only when there is something to do."""

import sqlite3
from contextlib import closing
from pathlib import Path

HEAD = "0002"


class NewerState(Exception):
    """The state folder was made by a newer Skerry; this one must not touch it."""


def prepare(path: Path) -> None:
    """Create the database or migrate it, after copying it to `<name>.before-<revision>`.

    Raises NewerState for a schema that this version doesn't know.
    """
    found = _revision(path)
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise NewerState(
            f"{path} was made by a newer Skerry (schema {found}, this one knows {HEAD}). Nothing was changed: "
            "install the newer version again, or use another state folder."
        )
    if found is not None:
        _copy(path, path.with_name(f"{path.name}.before-{HEAD}"))
    _upgrade(path)


def _revision(path: Path) -> str | None:
    if not path.exists():
        return None
    with closing(sqlite3.connect(path)) as connection:
        known = connection.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    return str(row[0]) if row else None


def _copy(path: Path, to: Path) -> None:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def _upgrade(path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()
