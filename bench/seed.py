"""Many VMs in a database, written through the store. A list reads rows and nothing else: no host needs to know them."""

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson
from sqlalchemy import insert

from skerry.arm.ids import parse_id
from skerry.arm.rows import body_of
from skerry.store import Link, ResourceRow, Store, UnitOfWork
from skerry.store.tables import links, resources, tags

PER_GROUP = 1000
TAGGED = 100  # VMs that share one value of the tag "batch"


@dataclass(frozen=True)
class Original:
    """A VM with its NIC and disk, and the links between them."""

    rows: Sequence[ResourceRow]
    links: Sequence[Link]
    group: ResourceRow

    @classmethod
    def read(cls, work: UnitOfWork, vm: str) -> "Original":
        """The VM with this id."""
        resource = parse_id(vm)
        kept = [link for link in work.resources.links_from(resource.key) if link.kind in ("nic", "disk")]
        keys = [resource.key, *(link.target for link in kept)]
        rows = work.resources.get_many([*keys, resource.group_id.key])
        return cls([rows[key] for key in keys], kept, rows[resource.group_id.key])


def fill(database: Path, vm: str, copies: int) -> None:
    """Put `copies` of a VM with its NIC and disk beside it, PER_GROUP in a group, each with the tags env and batch."""
    store = Store(database)
    try:
        with store.read() as work:
            original = Original.read(work, vm)
        for first in range(0, copies, PER_GROUP):
            with store.write() as work:
                _fill_group(work, original, range(first, min(first + PER_GROUP, copies)))
    finally:
        store.close()


def _fill_group(work: UnitOfWork, original: Original, numbers: range) -> None:
    name = f"fill-{numbers[0] // PER_GROUP:03}"
    rows, tagged, linked = list(_renamed([original.group], original, name, "")), [], []
    for number in numbers:
        found = list(_renamed(original.rows, original, name, f"-{number:06}"))
        values = {"env": "test" if number % 2 else "prod", "batch": str(number // TAGGED)}
        keys = {old.key: new.key for old, new in zip(original.rows, found, strict=True)}
        linked += [
            {**asdict(link), "source": keys[link.source], "target": keys[link.target]} for link in original.links
        ]
        for row in found:
            row.body = orjson.dumps({**body_of(row), "tags": values})
            tagged += [{"resource": row.key, "name": tag, "value": value} for tag, value in values.items()]
        rows += found
    work.connection.execute(insert(resources), [{**row.__dict__, "private": orjson.dumps(row.private)} for row in rows])
    work.connection.execute(insert(tags), tagged)
    work.connection.execute(insert(links), linked)


def _renamed(rows: Sequence[ResourceRow], original: Original, group: str, suffix: str) -> Iterator[ResourceRow]:
    """The rows in another group and with other names; all ids in their bodies follow."""
    names = "|".join(re.escape(row.name) for row in original.rows)
    named = re.compile(rf'((?:/|"name":")(?:{names}))(?=[/"]|$)')
    for row in rows:
        texts = [
            named.sub(
                rf"\1{suffix}", text.replace(f"/resourceGroups/{original.group.name}", f"/resourceGroups/{group}")
            )
            for text in (row.id, row.body.decode())
        ]
        resource = parse_id(texts[0])
        yield replace(
            row,
            key=resource.key,
            id=texts[0],
            name=resource.name,
            body=texts[1].encode(),
            group_key=resource.group_id.key,
            private={**row.private, "vm": str(uuid.uuid4())} if "vm" in row.private else row.private,
        )
