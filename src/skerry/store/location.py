"""Which database a state folder's resources are in: its own SQLite file, or one that STATE/database names."""

from pathlib import Path

from skerry.store.database import BadDatabase, Database, is_url

FILE = "skerry.db"
NOTE = "database"  # the URL without its password, so that a start that forgets to name it begins nothing anew


def locate(state: Path, url: str | None) -> str | Path:
    """The database of a state folder that `up` is given `url` (or None) for. Raises BadDatabase when that can't be."""
    own, note = state / FILE, state / NOTE
    if url is None:
        if note.exists():
            raise BadDatabase(
                f"The resources of {state} are in {note.read_text().strip()}: name it with --database or "
                "SKERRY_DATABASE. Nothing was started."
            )
        return own
    if not is_url(url):
        raise BadDatabase("--database takes a URL: postgresql://USER:PASSWORD@HOST/NAME.")
    if own.exists() and not note.exists():
        raise BadDatabase(
            f"The resources of {state} are in {own}, and it would begin anew in another database. To move them: "
            "`skerry down`, `skerry backup FILE`, `skerry restore FILE --state NEW --database URL`, and move disks and "
            "images to NEW. Nothing was started."
        )
    Database(url).close()  # raises for one that can't be read
    return url


def remember(state: Path, database: str | Path) -> None:
    """Write down which database the state folder uses, once it does."""
    if is_url(database):
        (state / NOTE).write_text(f"{shown(database)}\n")


def shown(database: str | Path) -> str:
    """A database as it may be shown: without passwords."""
    found = Database(database)
    found.close()
    return str(found)
