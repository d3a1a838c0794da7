"""A PostgreSQL server of the tests' own, from Debian's package, in a temporary folder on a Unix socket."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from skerry.store.migrate import prepare

SETTINGS = ("listen_addresses=", "shared_buffers=32MB", "max_connections=60")
FORGETFUL = ("fsync=off", "full_page_writes=off")


class Server:
    """A running server. Survives `restart` and `kill`; and if `durable` the end of the machine, for which it syncs."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._folder = folder
        self._settings = SETTINGS if durable else (*SETTINGS, *FORGETFUL)
        self._binaries = _binaries()
        self._as = ["setpriv", "--pdeathsig=INT", *_unprivileged()]
        if os.geteuid() == 0:
            shutil.chown(folder, _user())
        self._run("initdb", "-D", "data", "-A", "trust", "-U", "skerry", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.start()
        try:
            prepare(self.create("template"))
        except BaseException:
            self.stop(signal.SIGQUIT)
            raise

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._binaries / program), *arguments]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True, timeout=60)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [part for setting in self._settings for part in ("-c", setting)]
        command = [*self._as, str(self._binaries / "postgres"), "-D", "data", "-k", str(self._folder), *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        end = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
                return
            except psycopg.OperationalError:
                alive = self._process.poll() is None and time.monotonic() < end
                assert alive, (self._folder / "log").read_text()
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT ends all connections in order, SIGQUIT at once, as a crash does."""
        self._process.send_signal(how)
        self._process.wait(30)

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://skerry@/{name}?host={self._folder}"

    def create(self, name: str = "", template: str = "template1") -> str:
        """A new database; its URL."""
        name = name or f"t{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def prepared(self) -> str:
        """A new database that has the tables already; its URL."""
        return self.create(template="template")

    def drop(self, url: str) -> None:
        """Remove a database whoever is on it."""
        self.execute(f"DROP DATABASE {url.split('/')[3].split('?', maxsplit=1)[0]} WITH (FORCE)")

    def execute(self, sql: str) -> None:
        """Run a statement as the administrator."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.encode())


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    assert found, "PostgreSQL isn't installed: run scripts/system tests"
    return found[-1].parent


def _user() -> str:
    """Whom the server runs as: it refuses root."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _unprivileged() -> list[str]:
    if os.geteuid() != 0:
        return []
    entry = pwd.getpwnam(_user())
    return [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


@contextmanager
def server(*, durable: bool = False) -> Iterator[Server]:
    """A server that ends with the block, and its files with it."""
    folder = Path(tempfile.mkdtemp(prefix="skerry-postgresql-"))  # short: a socket's path has 107 bytes
    try:
        found = Server(folder, durable=durable)
        try:
            yield found
        finally:
            found.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder)
