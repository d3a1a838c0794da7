"""Reading and writing resource rows and the links between them, inside one transaction."""

import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

import orjson
from sqlalchemy import and_, bindparam, delete, func, insert, select, text

from skerry.store.drivers import Row
from skerry.store.search import Search
from skerry.store.sql import Session, Statement, upsert
from skerry.store.tables import links, resources, tags


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


@dataclass(frozen=True, order=True)
class Link:
    """`source` refers to `target`; `place` is the id of the part that does (an ipConfiguration), or empty."""

    source: str
    target: str
    kind: str
    place: str = ""


# The columns in the order of the fields.
_ROWS = select(*(resources.c[field.name] for field in fields(ResourceRow)))
_LINKS = select(*(links.c[field.name] for field in fields(Link)))
_PRIVATE = [field.name for field in fields(ResourceRow)].index("private")

_GET = Statement(_ROWS.where(resources.c.key == bindparam("key")))
_FIXED = ("key", "id", "type", "group_key", "parent", "name", "location", "created")
_SAVE = Statement(upsert(resources, fixed=_FIXED))
# Of a row that is known to be there: SQLite looks up no index for it.
_CHANGING = ", ".join(f"{name} = :{name}" for column in resources.c if (name := column.name) not in _FIXED)
_CHANGE = Statement(text(f"UPDATE resources SET {_CHANGING} WHERE key = :key"))
_DELETE = Statement(delete(resources).where(resources.c.key == bindparam("which")))
_COUNT = Statement(select(func.count()).select_from(resources).where(resources.c.type == bindparam("type")))
_FROM = Statement(_LINKS.where(links.c.source == bindparam("source")).order_by(links.c.target))
_FROM_KIND = Statement(
    _LINKS.where(links.c.source == bindparam("source"), links.c.kind == bindparam("kind")).order_by(links.c.target)
)
_TO = Statement(_LINKS.where(links.c.target == bindparam("target")).order_by(links.c.source, links.c.place))
_TO_KIND = Statement(
    _LINKS.where(links.c.target == bindparam("target"), links.c.kind == bindparam("kind")).order_by(
        links.c.source, links.c.place
    )
)
_TO_MANY = Statement(
    _LINKS.where(text("links.target IN (SELECT value FROM json_each(:targets))"), links.c.kind == bindparam("kind")),
    postgresql=_LINKS.where(text("links.target = ANY(:targets)"), links.c.kind == bindparam("kind")),
)
_UNDER = Statement(
    _LINKS.where(
        links.c.target >= bindparam("prefix"), links.c.target < bindparam("beyond"), links.c.kind == bindparam("kind")
    ).order_by(links.c.target, links.c.source)
)
_LINK = Statement(insert(links))
_UNLINK = Statement(
    delete(links).where(
        links.c.source == bindparam("of"),
        links.c.target == bindparam("to"),
        links.c.kind == bindparam("as"),
        links.c.place == bindparam("at"),
    )
)
_TAGS = Statement(select(tags.c.name, tags.c.value).where(tags.c.resource == bindparam("key")))
_TAG = Statement(upsert(tags))
_UNTAG = Statement(delete(tags).where(tags.c.resource == bindparam("key"), tags.c.name == bindparam("which")))


_MANY = Statement(
    _ROWS.where(text("resources.key IN (SELECT value FROM json_each(:keys))")),
    postgresql=_ROWS.where(text("resources.key = ANY(:keys)")),
)
_CONDITIONS = {
    "type": resources.c.type == bindparam("type"),
    "group": resources.c.group_key == bindparam("group"),
    "parent": resources.c.parent == bindparam("parent"),
    "prefix": and_(resources.c.key >= bindparam("prefix"), resources.c.key < bindparam("beyond")),
    "after": resources.c.key > bindparam("after"),
}


@cache
def _list(conditions: tuple[str, ...], limited: bool) -> Statement:
    query = _ROWS.where(*(_CONDITIONS[name] for name in conditions)).order_by(resources.c.key)
    return Statement(query.limit(bindparam("limit")) if limited else query)


class Resources:
    """The resource rows that one transaction sees. What was asked for by key is read from the database once."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, key: str) -> ResourceRow | None:
        """The row with this key (an id in lower case)."""
        rows = self._session.known.rows
        row = rows[key] if key in rows else self._read(key)
        return _row(row) if row else None

    def _read(self, key: str) -> Row | None:
        row = self._session.known.rows[key] = self._session.first(_GET, {"key": key})
        return row

    def get_many(self, keys: Iterable[str]) -> dict[str, ResourceRow]:
        """The rows that exist of these keys."""
        asked, known = dict.fromkeys(keys), self._session.known.rows
        unread = [key for key in asked if key not in known]
        if len(unread) == 1:
            self._read(unread[0])
        elif unread:
            rows = self._session.rows(_MANY, {"keys": self._session.array(unread)})
            known.update(dict.fromkeys(unread))
            known.update({row[0]: row for row in rows})
        return {key: _row(row) for key in asked if (row := known[key])}

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
        asked = {"type": type, "group": group, "parent": parent, "prefix": prefix or None, "after": after or None}
        values: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        statement = _list(tuple(values), limit is not None)
        if prefix:
            values["beyond"] = beyond(prefix)
        return [_row(row) for row in self._session.rows(statement, {**values, "limit": limit})]

    def find(self, search: Search, after: str, limit: int) -> Sequence[ResourceRow]:
        """What a list shows, in key order: at most `limit` rows with keys after `after`."""
        if not search.possible:
            return []
        values = {**search.values, "after": after, "limit": limit}
        keys = [key for (key,) in self._session.rows(search.statement, values)]
        rows = self.get_many(keys)
        return [rows[key] for key in keys]

    def count(self, type: str) -> int:
        """How many resources of a type (lower case) there are."""
        return int(self._session.rows(_COUNT, {"type": type})[0][0])

    def save(self, row: ResourceRow) -> None:
        """Insert or replace the row; gives it a new ETag and change time. What names and places it never changes."""
        row.etag, row.changed = str(uuid.uuid4()), time.time()
        row.created = row.created or row.changed
        values = {**row.__dict__, "private": orjson.dumps(row.private)}
        known = self._session.known
        if row.key in known.rows and not known.rows[row.key]:
            known.unlinked.add(row.key)
            known.untagged.add(row.key)
        self._session.run(_CHANGE if known.rows.get(row.key) else _SAVE, values)
        self._session.known.rows[row.key] = tuple(values.values())

    def delete(self, key: str) -> None:
        """Remove the row, its tags and the links that start at it."""
        self._session.known.forget(key)
        self._session.run(_DELETE, {"which": key})

    def set_links(self, source: str, wanted: Iterable[Link]) -> None:
        """Make the links that start at `source` exactly `wanted`."""
        unlinked, after = self._session.known.unlinked, dict.fromkeys(wanted)
        before = set() if source in unlinked else set(self.links_from(source))
        unlinked.discard(source)
        for link in before - after.keys():
            self._session.run(_UNLINK, {"of": source, "to": link.target, "as": link.kind, "at": link.place})
        self._session.many(_LINK, [link.__dict__ for link in after if link not in before])

    def links_to(self, target: str, kind: str | None = None) -> Sequence[Link]:
        """Who refers to `target`."""
        statement = _TO if kind is None else _TO_KIND
        return [Link(*row) for row in self._session.rows(statement, {"target": target, "kind": kind})]

    def links_to_many(self, targets: Iterable[str], kind: str) -> Mapping[str, Sequence[Link]]:
        """By target, for those that there are any to: who refers to it."""
        values = {"targets": self._session.array(list(targets)), "kind": kind}
        found: defaultdict[str, list[Link]] = defaultdict(list)
        for link in sorted(Link(*row) for row in self._session.rows(_TO_MANY, values)):
            found[link.target].append(link)
        return found

    def links_under(self, prefix: str, kind: str) -> Sequence[Link]:
        """Links of one kind to anything whose key starts with `prefix`."""
        values = {"prefix": prefix, "beyond": beyond(prefix), "kind": kind}
        return [Link(*row) for row in self._session.rows(_UNDER, values)]

    def links_from(self, source: str, kind: str | None = None) -> Sequence[Link]:
        """What `source` refers to."""
        statement = _FROM if kind is None else _FROM_KIND
        return [Link(*row) for row in self._session.rows(statement, {"source": source, "kind": kind})]

    def set_tags(self, key: str, wanted: Mapping[str, str]) -> None:
        """Make what a resource is found by exactly these tags; their names count in any case."""
        untagged = self._session.known.untagged
        before: dict[str, str] = {} if key in untagged else dict(self._session.rows(_TAGS, {"key": key}))
        untagged.discard(key)
        after = {name.lower(): value for name, value in wanted.items()}
        for name in before.keys() - after.keys():
            self._session.run(_UNTAG, {"key": key, "which": name})
        changed = [(name, value) for name, value in after.items() if before.get(name) != value]
        self._session.many(_TAG, [{"resource": key, "name": name, "value": value} for name, value in changed])


def beyond(prefix: str) -> str:
    """The least text after all that start with `prefix`, in the order of code points that keys have."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _row(row: Row) -> ResourceRow:
    found = ResourceRow(*row)
    found.private = orjson.loads(row[_PRIVATE])
    return found
