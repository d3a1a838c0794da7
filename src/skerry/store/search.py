"""Finding resources for lists: which index each combination of conditions is read by, always in key order.

A page is the keys after the last one shown, read from an index that has them in order, so that its time depends on
neither the number of resources nor on how deep it lies. Only parts of names (`substringof`) are looked for row by row.

    conditions                  read in the order of
    tag with value              tags_by_name
    tag                         tags_in_order
    start of a tag's name       tags_by_name, and what it finds sorted
    name                        resources_by_name
    location                    resources_by_location, a branch for each type
    group                       resources_by_group, the same
    none                        resources_by_type, the same
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    SelectBase,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    union_all,
)

from skerry.store.sql import Statement
from skerry.store.tables import bare_location, resources, tags


@dataclass(frozen=True)
class Search:
    """What a list shows: resources that meet all that is given. Names and parts of them in lower case.

    `types` in lower case; `groups`: keys, a resource is in each of them; `location` also without spaces;
    `group_start`: where in a group's key its name begins, for `group_part`.
    """

    types: tuple[str, ...]
    groups: tuple[str, ...] = ()
    name: str | None = None
    location: str | None = None
    tag: str | None = None
    tag_value: str | None = None
    tag_start: str | None = None
    name_part: str | None = None
    group_part: str | None = None
    group_start: int = 1

    @property
    def possible(self) -> bool:
        """Whether anything can be found."""
        return bool(self.types) and len(set(self.groups)) < 2

    @property
    def values(self) -> Mapping[str, Any]:
        """The statement's parameters."""
        names = ("name", "location", "tag", "tag_value", "tag_start", "name_part", "group_part")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.tag_start is not None:
            given["tag_end"] = self.tag_start + chr(0x10FFFF)
        if self.group_part is not None:
            given["group_start"] = self.group_start
        if self.groups:
            given["group"] = self.groups[0]
        return {**given, **{f"type_{number}": kind for number, kind in enumerate(self.types)}}

    @property
    def statement(self) -> Statement:
        """The keys after `:after`, at most `:limit`."""
        return _statement(frozenset(self.values), len(self.types))


_LEADS = ("tag", "name", "tag_start", "group", "location")
_COLUMNS = {"name": func.lower(resources.c.name), "location": bare_location(), "group": resources.c.group_key}
_EMPTY: ColumnElement[str] = literal_column("''")


@cache
def _statement(given: frozenset[str], types: int) -> Statement:
    """`given`: the names of the parameters; the first of _LEADS among them says which index is read."""
    return Statement(_Query(given, types, steered=True).keys(), postgresql=_Query(given, types, steered=False).keys())


class _Query:
    """The query for one combination of conditions.

    `steered`: for SQLite, which doesn't know how few rows a name has: what isn't to lead is kept from being an index's.
    PostgreSQL knows, but merges branches in order only where each has a limit, which SQLite doesn't take.
    """

    def __init__(self, given: frozenset[str], types: int, *, steered: bool) -> None:
        self._given, self._steered = given, steered
        self._lead = next((name for name in _LEADS if name in given), "")
        self._types: list[BindParameter[str]] = [bindparam(f"type_{number}") for number in range(types)]

    def keys(self) -> SelectBase:
        """The keys of a page."""
        if self._lead == "tag":
            return _page(self._tagged(), tags.c.resource)
        query = select(resources.c.key).where(*self._conditions(), resources.c.key > bindparam("after"))
        if self._lead in ("name", "tag_start"):
            return _page(query.where(self._of_types()), resources.c.key)
        branches = [query.where(resources.c.type == kind) for kind in self._types]
        if len(branches) == 1:
            return _page(branches[0], resources.c.key)
        every = union_all(*(branches if self._steered else [_page(query, resources.c.key) for query in branches]))
        return every.order_by(every.selected_columns[0]).limit(bindparam("limit"))

    def _tagged(self) -> Select[Any]:
        query = select(tags.c.resource).join(resources, resources.c.key == tags.c.resource)
        query = query.where(
            tags.c.name == bindparam("tag"),
            tags.c.resource > bindparam("after"),
            resources.c.key > bindparam("after"),
            *self._conditions(),
            self._of_types(),
        )
        return query.where(tags.c.value == bindparam("tag_value")) if "tag_value" in self._given else query

    def _conditions(self) -> list[ColumnElement[bool]]:
        found = [
            (column if name == self._lead else self._aside(column)) == bindparam(name)
            for name, column in _COLUMNS.items()
            if name in self._given
        ]
        if "name_part" in self._given:
            found.append(_contains(_COLUMNS["name"], "name_part"))
        if "group_part" in self._given:
            found.append(_contains(func.substr(resources.c.group_key, bindparam("group_start")), "group_part"))
        if "tag_start" in self._given:
            starting = and_(tags.c.name >= bindparam("tag_start"), tags.c.name < bindparam("tag_end"))
            found.append(resources.c.key.in_(select(tags.c.resource).where(starting)))
        return found

    def _of_types(self) -> ColumnElement[bool]:
        return self._aside(resources.c.type).in_(self._types)

    def _aside(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """The same value, for SQLite one that no index has."""
        return column.concat(_EMPTY) if self._steered else column


def _page(query: Select[Any], order: ColumnElement[Any]) -> Select[Any]:
    return query.order_by(order).limit(bindparam("limit"))


def _contains(column: ColumnElement[Any], part: str) -> ColumnElement[bool]:
    return func.replace(column, bindparam(part), _EMPTY) != column
