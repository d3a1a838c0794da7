"""Children that live inside their parent: reading one out, and writing one as an update of the parent."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from skerry.arm.body import decode
from skerry.arm.conditions import HasConditions, check_conditions
from skerry.arm.descriptor import Body, EmbeddedType, Result
from skerry.arm.errors import NotFound, resource_not_found
from skerry.arm.ids import ResourceId
from skerry.arm.rows import body_of
from skerry.store import ResourceRow, UnitOfWork

if TYPE_CHECKING:
    from skerry.arm.service import PutResult, ResourceService


class Embedded:
    """The embedded half of a ResourceService."""

    def __init__(self, service: "ResourceService") -> None:
        self._service = service

    def find(self, work: UnitOfWork, kind: EmbeddedType, resource: ResourceId) -> ResourceRow | None:
        """The parent's row if it holds this child."""
        parent = work.resources.get(_parent(resource).key)
        return parent if parent and _child(parent, kind, resource.name) else None

    def get(self, work: UnitOfWork, kind: EmbeddedType, resource: ResourceId) -> bytes:
        """The JSON of one child. Raises NotFound."""
        parent = self._service.require(work, _parent(resource))
        child = _child(parent, kind, resource.name)
        if child is None:
            raise resource_not_found(resource.label, resource.group)
        return self._views(work, kind, parent, [child])[0]

    def list(self, work: UnitOfWork, kind: EmbeddedType, parent: ResourceRow) -> Sequence[bytes]:
        """The JSON of all children of one kind."""
        return self._views(work, kind, parent, _children(body_of(parent), kind))

    def _views(
        self, work: UnitOfWork, kind: EmbeddedType, parent: ResourceRow, children: Sequence[Body]
    ) -> Sequence[bytes]:
        if kind.expand:
            kind.expand(work, children)
        return [orjson.dumps({**child, "etag": f'W/"{parent.etag}"'}) for child in children]

    def put(
        self, work: UnitOfWork, kind: EmbeddedType, resource: ResourceId, body: Any, conditions: HasConditions
    ) -> "PutResult":
        """Put one child by putting its parent with it."""
        self._service._check_name(kind, resource)
        parent = self._service.require(work, _parent(resource))
        old = _child(parent, kind, resource.name)
        check_conditions(conditions, parent if old else None)
        decode(body, kind.model)  # so that errors name paths as the client wrote them
        whole = body_of(parent)
        new = {**body, "name": old["name"] if old else resource.name}
        whole.setdefault("properties", {})[kind.member] = _with(_children(whole, kind), new)
        result = self._service._write(work, _parent(resource), whole)
        view = self.get(work, kind, resource)
        return type(result)(kind, result.row, view, old is None, result.operation)

    def delete(self, work: UnitOfWork, kind: EmbeddedType, resource: ResourceId, conditions: HasConditions) -> Result:
        """Remove one child by putting its parent without it."""
        parent = work.resources.get(_parent(resource).key)
        if parent is None:
            self._service._check_name(self._service.registry.get(kind.parent), _parent(resource))
        if parent is None or _child(parent, kind, resource.name) is None:
            self._service._check_name(kind, resource)
            return Result(status=204)
        check_conditions(conditions, parent)
        self._refuse_used(work, kind, resource.key)
        whole = body_of(parent)
        left = [c for c in _children(whole, kind) if c["name"].lower() != resource.name.lower()]
        whole["properties"][kind.member] = left
        result = self._service._write(work, _parent(resource), whole)
        return Result(operation=result.operation, status=202 if result.operation else 200)

    def check_unused(self, work: UnitOfWork, kind: EmbeddedType, parent: ResourceRow) -> None:
        """Raises Conflict if anything refers to a child of this kind."""
        for child in _children(body_of(parent), kind):
            self._refuse_used(work, kind, child["id"].lower())

    def _refuse_used(self, work: UnitOfWork, kind: EmbeddedType, key: str) -> None:
        links = work.resources.links_to(key)
        if links and kind.in_use:
            raise kind.in_use(key, links)


def _parent(resource: ResourceId) -> ResourceId:
    if resource.parent is None:
        raise NotFound("ParentResourceNotFound", f"'{resource}' names no parent.")
    return resource.parent


def _children(body: Body, kind: EmbeddedType) -> list[Body]:
    found: list[Body] = body.get("properties", {}).get(kind.member, [])
    return found


def _with(children: Sequence[Body], new: Body) -> list[Body]:
    """The children with this one in the place of its predecessor, or last: clients choose the first that fits."""
    name = new["name"].lower()
    kept = [new if child["name"].lower() == name else child for child in children]
    return kept if any(child is new for child in kept) else [*kept, new]


def _child(parent: ResourceRow, kind: EmbeddedType, name: str) -> Body | None:
    return next((c for c in _children(body_of(parent), kind) if c["name"].lower() == name.lower()), None)
