"""Reading and writing resource rows and the links between them, inside one transaction."""

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import orjson
from sqlalchemy import Connection, Row, and_, bindparam, delete, func, insert, select, update

from skerry.store.tables import links, resources


@dataclass
class ResourceRow:
    """One stored resource. `body` is the JSON of its GET, `private` what is never shown."""

    key: str
    id: str
    type: str
    group_key: str
    name: str
    body: bytes
    parent: str = ""
    location: str = ""
    state: str = "Succeeded"
    operation: str = ""
    private: dict[str, Any] = field(default_factory=dict)
    etag: str = ""
    created: float = 0.0
    changed: float = 0.0


# The columns in the order of the fields. Built once: building a statement takes longer than running it.
_ROWS = select(*(resources.c[field.name] for field in fields(ResourceRow)))
_BY_KEY = _ROWS.where(resources.c.key == bindparam("key"))


@dataclass(frozen=True)
class Link:
    """`source` refers to `target`; `place` is the id of the part that does (an ipConfiguration), or empty."""

    source: str
    target: str
    kind: str
    place: str = ""


class Resources:
    """The resource rows that one transaction sees."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, key: str) -> ResourceRow | None:
        """The row with this key (an id in lower case)."""
        row = self._connection.execute(_BY_KEY, {"key": key}).one_or_none()
        return _row(row) if row else None

    def get_many(self, keys: Iterable[str]) -> dict[str, ResourceRow]:
        """The rows that exist of these keys."""
        rows = self._connection.execute(_ROWS.where(resources.c.key.in_(list(keys))))
        return {row.key: _row(row) for row in rows}

    def list(
        self,
        *,
        type: str | None = None,
        group: str | None = None,
        parent: str | None = None,
        prefix: str = "",
        after: str = "",
        limit: int | None = None,
    ) -> Sequence[ResourceRow]:
        """Rows in key order, those after the key `after` only; `type` in lower case."""
        query = _ROWS.order_by(resources.c.key)
        for column, value in (("type", type), ("group_key", group), ("parent", parent)):
            if value is not None:
                query = query.where(resources.c[column] == value)
        if prefix:
            query = query.where(resources.c.key.startswith(prefix, autoescape=True))
        if after:
            query = query.where(resources.c.key > after)
        return [_row(row) for row in self._connection.execute(query.limit(limit))]

    def count(self, type: str) -> int:
        """How many resources of a type (lower case) there are."""
        query = select(func.count()).select_from(resources).where(resources.c.type == type)
        return int(self._connection.execute(query).scalar_one())

    def save(self, row: ResourceRow) -> None:
        """Insert or replace the row; gives it a new ETag and change time."""
        row.etag, row.changed = str(uuid.uuid4()), time.time()
        row.created = row.created or row.changed
        values = {**row.__dict__, "private": orjson.dumps(row.private)}
        done = self._connection.execute(update(resources).where(resources.c.key == row.key).values(values))
        if not done.rowcount:
            self._connection.execute(insert(resources).values(values))

    def delete(self, key: str) -> None:
        """Remove the row and the links that start at it."""
        self._connection.execute(delete(links).where(links.c.source == key))
        self._connection.execute(delete(resources).where(resources.c.key == key))

    def set_links(self, source: str, wanted: Iterable[Link]) -> None:
        """Make the links that start at `source` exactly `wanted`."""
        self._connection.execute(delete(links).where(links.c.source == source))
        rows = [link.__dict__ for link in dict.fromkeys(wanted)]
        if rows:
            self._connection.execute(insert(links), rows)

    def links_to(self, target: str, kind: str | None = None) -> Sequence[Link]:
        """Who refers to `target`."""
        query = select(links).where(links.c.target == target).order_by(links.c.source, links.c.place)
        if kind is not None:
            query = query.where(links.c.kind == kind)
        return [Link(r.source, r.target, r.kind, r.place) for r in self._connection.execute(query)]

    def links_under(self, prefix: str, kind: str) -> Sequence[Link]:
        """Links of one kind to anything whose key starts with `prefix`."""
        where = and_(links.c.target.startswith(prefix, autoescape=True), links.c.kind == kind)
        rows = self._connection.execute(select(links).where(where).order_by(links.c.target, links.c.source))
        return [Link(r.source, r.target, r.kind, r.place) for r in rows]

    def links_from(self, source: str, kind: str | None = None) -> Sequence[Link]:
        """What `source` refers to."""
        query = select(links).where(links.c.source == source).order_by(links.c.target)
        if kind is not None:
            query = query.where(links.c.kind == kind)
        return [Link(r.source, r.target, r.kind, r.place) for r in self._connection.execute(query)]


def _row(row: Row[*tuple[Any, ...]]) -> ResourceRow:
    found = ResourceRow(*row)
    found.private = orjson.loads(row.private)
    return found
