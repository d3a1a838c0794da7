"""Databases for the tests: what is asked of the store holds on SQLite and on PostgreSQL."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import postgresql as own

from skerry.store.migrate import prepare


@pytest.fixture(scope="session")
def postgresql() -> Iterator[own.Server]:
    """A PostgreSQL server that ends with the session."""
    with own.server() as found:
        yield found


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database that has the tables and nothing in them."""
    path = tmp_path_factory.mktemp("template") / "skerry.db"
    prepare(path)
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | Path]:
    """A database of each kind that has the tables and nothing in them: a path, or a URL."""
    if request.param == "sqlite":
        yield shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "skerry.db")
        return
    server: own.Server = request.getfixturevalue("postgresql")
    url = server.prepared()
    yield url
    server.drop(url)
