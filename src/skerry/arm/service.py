"""Resources as ARM sees them: put, patch, get, list, delete and act, each inside the caller's transaction.

The wire and the deployment engine both call this: a template's resource passes the same checks as a PUT.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from skerry.arm import activity
from skerry.arm.body import decode, merge_patch
from skerry.arm.conditions import check_conditions
from skerry.arm.descriptor import (
    ActionContext,
    AnyType,
    ArmResource,
    DeleteContext,
    EmbeddedType,
    PutContext,
    ResourceType,
    Result,
)
from skerry.arm.embedded import Embedded
from skerry.arm.errors import BadRequest, Conflict, NotFound, resource_not_found
from skerry.arm.ids import ResourceId
from skerry.arm.locations import check_location, normalise
from skerry.arm.registry import GROUP_TYPE, Registry
from skerry.arm.rows import body_of, model_of, set_body
from skerry.arm.secrets import Secrets
from skerry.hostspec.client import HostGateway
from skerry.store import Link, OperationRow, ResourceRow, UnitOfWork

_EXPANDING = ("$expand", "statusonly")  # parameters that a type's query_expand is for
_TAG_NAME = re.compile(r"[^<>%&\\?/\x00-\x1f\x7f]{1,512}")


@dataclass(frozen=True)
class PutResult:
    """A stored resource: its body as GET shows it now, whether it is new, and the operation to wait for, if any."""

    kind: AnyType
    row: ResourceRow
    body: bytes
    created: bool
    operation: OperationRow | None

    @property
    def status(self) -> int:
        """The HTTP status that says so."""
        kind = self.kind
        if not isinstance(kind, ResourceType):
            return 201 if self.created else 200
        if self.operation is not None and kind.accepted is not None:
            return kind.accepted
        return kind.created if self.created else kind.updated


@dataclass(frozen=True)
class Conditions:
    """The ETag conditions of a request."""

    if_match: str | None = None
    if_none_match: str | None = None


@dataclass(frozen=True)
class Installation:
    """What is particular to this installation. `base_url` has no end slash."""

    subscription: str
    tenant: str
    base_url: str
    secrets: Secrets


class ResourceService:
    """What the types of one registry can do. Stateless."""

    def __init__(self, registry: Registry, installation: Installation, gateway: HostGateway) -> None:
        self.registry, self.installation, self._gateway = registry, installation, gateway
        self.subscription = installation.subscription
        self.memory: dict[Any, Any] = {}  # hints that types keep from one write to the next; never what is true
        self._embedded = Embedded(self)

    def serial_log(self, vm: str) -> bytes | None:
        """The end of a VM's serial log, from its host."""
        return self._gateway.serial_log(vm)

    def find(self, work: UnitOfWork, resource: ResourceId) -> ResourceRow | None:
        """The row of a resource, or of the parent that holds it; None if it isn't there."""
        kind = self.registry.types.get(resource.type.lower())
        if isinstance(kind, EmbeddedType):
            return self._embedded.find(work, kind, resource)
        return work.resources.get(resource.key)

    def require(self, work: UnitOfWork, resource: ResourceId) -> ResourceRow:
        """The row of a resource. Raises NotFound for its group, its parent or itself."""
        self.check_subscription(resource.subscription)
        row = work.resources.get(resource.key)
        if row is None:
            self.check_group(work, resource)
            kind = self.registry.types.get(resource.type.lower())
            missing = kind.missing if isinstance(kind, ResourceType) else None
            raise missing(work, resource) if missing else resource_not_found(resource.label, resource.group)
        return row

    def check_subscription(self, subscription: str) -> None:
        """Raises NotFound for any subscription but this installation's."""
        if subscription.lower() != self.subscription.lower():
            raise NotFound("SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")

    def check_group(self, work: UnitOfWork, resource: ResourceId) -> ResourceRow:
        """The row of the resource's group. Raises NotFound `ResourceGroupNotFound`."""
        self.check_subscription(resource.subscription)
        row = work.resources.get(resource.group_id.key)
        if row is None:
            raise NotFound("ResourceGroupNotFound", f"Resource group '{resource.group}' could not be found.")
        return row

    # -- reading

    def get(self, work: UnitOfWork, resource: ResourceId, query: Mapping[str, str] | None = None) -> bytes:
        """The JSON of a resource's GET. Raises NotFound."""
        kind = self.registry.get(resource.type)
        if isinstance(kind, EmbeddedType):
            self.check_group(work, resource)
            return self._embedded.get(work, kind, resource)
        return self.view(work, kind, self.require(work, resource), query or {})

    def view(
        self, work: UnitOfWork, kind: ResourceType, row: ResourceRow, query: Mapping[str, str] | None = None
    ) -> bytes:
        """A row as GET shows it: the stored JSON with its ETag, and what other rows know of it."""
        return self.views(work, kind, [row], query)[0]

    def views(
        self,
        work: UnitOfWork,
        kind: ResourceType,
        rows: Sequence[ResourceRow],
        query: Mapping[str, str] | None = None,
    ) -> list[bytes]:
        """Rows of one type as GET shows them; what other rows know is read for all of them at once."""
        more = kind.query_expand if query and not query.keys().isdisjoint(_EXPANDING) else None
        if kind.expand is None and more is None:
            return [_stamped(row.body, row.etag) for row in rows]
        shown = [(row, body_of(row)) for row in rows]
        for row, body in shown:
            if more is not None:
                more(work, row, body, query or {})
        if kind.expand is not None:
            kind.expand(work, shown)
        return [_stamped(orjson.dumps(body), row.etag) for row, body in shown]

    def list_embedded(self, work: UnitOfWork, kind: EmbeddedType, parent: ResourceId) -> Sequence[bytes]:
        """The JSON of all children of one kind inside a parent."""
        return self._embedded.list(work, kind, self.require(work, parent))

    # -- writing

    def put(self, work: UnitOfWork, resource: ResourceId, body: Any, conditions: Conditions | None = None) -> PutResult:
        """Create or replace a resource, everything checked first. Raises ArmError."""
        result = self._write(work, resource, body, conditions)
        name = activity.action_name(result.kind.name, "write")
        activity.accepted(work, resource, name, result.status, result.operation)
        return result

    def _write(
        self, work: UnitOfWork, resource: ResourceId, body: Any, conditions: Conditions | None = None
    ) -> PutResult:
        """`put` without a place in the activity log."""
        kind = self.registry.get(resource.type)
        self._check_writable(work, resource, kind)
        if isinstance(kind, EmbeddedType):
            return self._embedded.put(work, kind, resource, body, conditions or Conditions())
        old = work.resources.get(resource.key)
        check_conditions(conditions or Conditions(), old)
        self._check_name(kind, resource)
        new = decode(body, kind.model)
        return self._store(work, kind, resource, new, old)

    def patch(
        self, work: UnitOfWork, resource: ResourceId, body: Any, conditions: Conditions | None = None
    ) -> PutResult:
        """Change what the body names (RFC 7396; tags are replaced whole)."""
        if not isinstance(body, dict):
            decode(body, ArmResource)
        stored = body_of(self.require(work, resource))
        return self.put(work, resource, merge_patch(stored, body), conditions)

    def _check_writable(self, work: UnitOfWork, resource: ResourceId, kind: AnyType) -> None:
        _refuse_read_only(kind)
        if kind.name == GROUP_TYPE:
            self.check_subscription(resource.subscription)
            _refuse_leaving(work.resources.get(resource.key))
            return
        _refuse_leaving(self.check_group(work, resource))
        parent = resource.parent
        if parent is not None and work.resources.get(parent.key) is None:
            raise NotFound(
                "ParentResourceNotFound",
                f"Can not perform requested operation on nested resource. Parent resource '{parent.name}' not found.",
            )

    def _check_name(self, kind: AnyType, resource: ResourceId) -> None:
        if not kind.name_pattern.fullmatch(resource.name):
            raise BadRequest(
                "InvalidResourceName",
                f"Resource name {resource.name} is invalid for '{kind.name}'. The name must match "
                f"{kind.name_pattern.pattern}",
            )

    def _store(
        self, work: UnitOfWork, kind: ResourceType, resource: ResourceId, new: ArmResource, old: ResourceRow | None
    ) -> PutResult:
        row = old or self._new_row(resource, kind)
        self._complete(kind, resource, row, new, old)
        context = PutContext(work, self, resource, row, new, model_of(old, kind.model) if old else None)
        kind.put(context)
        set_body(row, context.new)
        row.state = getattr(getattr(new, "properties", None), "provisioning_state", None) or row.state
        work.resources.save(row)
        work.resources.set_links(row.key, context.links)
        work.resources.set_tags(row.key, context.new.tags or {})
        if context.operation is not None:
            work.operations.add(context.operation)
        return PutResult(kind, row, self.view(work, kind, row), old is None, context.operation)

    def _new_row(self, resource: ResourceId, kind: ResourceType) -> ResourceRow:
        return ResourceRow(
            key=resource.key,
            id=str(resource),
            type=kind.name.lower(),
            group_key=resource.group_id.key,
            name=resource.name,
            parent=resource.parent.key if resource.parent else "",
            body=b"{}",
        )

    def _complete(
        self, kind: ResourceType, resource: ResourceId, row: ResourceRow, new: ArmResource, old: ResourceRow | None
    ) -> None:
        """Fill in the envelope; id and name keep the case of the first PUT."""
        new.id, new.name, new.type, new.etag = row.id, row.name, kind.name, None
        _check_tags(new.tags or {})
        if not kind.tracked:
            return
        new.location = new.location or (old.location if old else None)
        check_location(new.location, kind.name)
        if old is not None and normalise(old.location) != normalise(new.location or ""):
            raise _elsewhere(kind, resource, old.location or "", new.location or "")
        new.location = old.location if old else new.location
        row.location = new.location or ""

    def delete(
        self, work: UnitOfWork, resource: ResourceId, *, forced: bool = False, conditions: Conditions | None = None
    ) -> Result:
        """Delete a resource: 204 when it isn't there, 202 with an operation, or 200.

        Deleting what is being deleted is the same delete: its operation is the answer.
        """
        kind = self.registry.get(resource.type)
        result = self._delete(work, resource, kind, forced, conditions or Conditions())
        if result.status != 204 or (isinstance(kind, ResourceType) and kind.deleted == 204):
            name = activity.action_name(kind.name, "delete")
            activity.accepted(work, resource, name, result.status, result.operation)
        return result

    def _delete(
        self, work: UnitOfWork, resource: ResourceId, kind: AnyType, forced: bool, conditions: Conditions
    ) -> Result:
        self.check_group(work, resource)
        if isinstance(kind, EmbeddedType):
            _refuse_read_only(kind)
            return self._embedded.delete(work, kind, resource, conditions)
        row = work.resources.get(resource.key)
        if row is None:
            self._check_name(kind, resource)
            return Result(status=204)
        check_conditions(conditions, row)
        if row.state == "Deleting" and row.operation:
            return Result(operation=work.operations.get(row.operation), status=202)
        links = work.resources.links_to(row.key)
        if links:
            raise kind.in_use(row, [_readable(work, link) for link in links])
        for child in self.registry.embedded_in(kind.name):
            self._embedded.check_unused(work, child, row)
        operation = kind.delete(DeleteContext(work, self, resource, row, forced))
        if operation is None:
            return Result(status=kind.deleted)
        work.operations.add(operation)
        return Result(operation=operation, status=202)

    def act(self, context: ActionContext, name: str) -> Result:
        """Run a POST action. Raises BadRequest for one that the type doesn't have."""
        kind = self.registry.get(context.id.type)
        action = kind.action(name) if isinstance(kind, ResourceType) else None
        if action is None:
            raise unknown_action(kind, name)
        self.check_group(context.work, context.id)
        if not action.exists:
            self._check_name(kind, context.id)
        else:
            context.row = self.require(context.work, context.id)
        result = action.run(context)
        if result.operation is not None:
            context.work.operations.add(result.operation)
        status = 202 if result.operation else result.status
        logged = activity.action_name(kind.name, f"{name}/action")
        activity.accepted(context.work, context.id, logged, status, result.operation)
        return result


def _stamped(body: bytes, etag: str) -> bytes:
    return body[:-1] + b',"etag":"W/\\"' + etag.encode() + b'\\""}'


def _elsewhere(kind: ResourceType, resource: ResourceId, before: str, now: str) -> Conflict:
    """ARM's refusal to move a resource to another location."""
    if kind.name == GROUP_TYPE:
        return Conflict(
            "InvalidResourceGroupLocation",
            f"Invalid resource group location '{now}'. The Resource group already exists in location '{before}'.",
        )
    return Conflict(
        "InvalidResourceLocation",
        f"The resource '{resource.name}' already exists in location '{before}' in resource group '{resource.group}'. "
        f"A resource with the same name cannot be created in location '{now}'. Please select a new resource name.",
    )


def _readable(work: UnitOfWork, link: Link) -> Link:
    """A link that names its source as its maker wrote it."""
    source = work.resources.get(link.source)
    return replace(link, source=source.id) if source else link


def unknown_action(kind: AnyType, name: str) -> BadRequest:
    """The refusal of a POST or GET below a resource that its type doesn't have."""
    known = sorted([*kind.actions, *kind.views]) if isinstance(kind, ResourceType) else []
    has = f"It has: {', '.join(known)}." if known else "It has none."
    return BadRequest("InvalidAction", f"'{kind.name}' has no action '{name}' that Skerry supports. {has}")


def _refuse_leaving(group: ResourceRow | None) -> None:
    if group is not None and group.state == "Deleting":
        raise Conflict(
            "ResourceGroupBeingDeleted",
            f"The resource group '{group.name}' is in deprovisioning state and cannot perform this operation.",
        )


def _refuse_read_only(kind: AnyType) -> None:
    if (isinstance(kind, EmbeddedType) and kind.read_only) or (isinstance(kind, ResourceType) and not kind.puts):
        raise BadRequest("ReadOnlyResource", f"A resource of type '{kind.name}' can't be written.")


def _check_tags(tags: Mapping[str, str]) -> None:
    """ARM's limits: 50 tags, names of 512 and values of 256 characters."""
    bad = next((n for n, v in tags.items() if not _TAG_NAME.fullmatch(n) or len(v) > 256 or "\0" in v), None)
    if bad is not None:
        raise BadRequest(
            "InvalidTagName",
            f"The tag '{bad[:64]}' is not allowed: its name or value is too long "
            "(512, 256 characters) or its name has one of < > % & \\ ? / or a control character",
            target=f"tags.{bad[:64]}",
        )
    names = Counter(name.lower() for name in tags)
    twice = next((name for name in tags if names[name.lower()] > 1), None)
    if twice is not None:
        raise BadRequest(
            "InvalidTagName",
            f"The tag '{twice}' stands there in two casings: tag names match without regard to case.",
            target=f"tags.{twice[:64]}",
        )
    if len(tags) > 50:
        raise BadRequest("TooManyTags", f"There are {len(tags)} tags; at most 50 are allowed.", target="tags")
