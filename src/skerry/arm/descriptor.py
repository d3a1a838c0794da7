"""How a resource type describes itself to the wire. One descriptor per type, registered by an explicit line."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from msgspec import Meta, Struct

from skerry.arm.body import check_parameter
from skerry.arm.errors import ArmError, BadRequest, Conflict, NotFound
from skerry.arm.ids import ResourceId, parse_id
from skerry.arm.locations import normalise
from skerry.store import Link, OperationRow, ResourceRow, UnitOfWork

if TYPE_CHECKING:
    from skerry.arm.service import ResourceService

Body = dict[str, Any]
Shown = Sequence[tuple[ResourceRow, Body]]  # rows with their bodies, which are free to change
NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,78}[A-Za-z0-9_])?")
T = TypeVar("T")
ReadOnly = Annotated[T, Meta(extra_json_schema={"readOnly": True})]  # the server writes it; clients may send it back
Id = Annotated[str, Meta(max_length=2048)]
Text = Annotated[str, Meta(max_length=256)]
_TAGS = {  # refused in Azure's own words by the service
    "maxProperties": 50,
    "propertyNames": {"pattern": r"^[^<>%&\\?/\u0000-\u001f\u007f]{1,512}$"},
    "additionalProperties": {"type": "string", "maxLength": 256},
}
Tags = Annotated[dict[str, str], Meta(extra_json_schema=_TAGS)]


class ArmResource(Struct, rename="camel", omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What every resource has. A type's Struct extends it and adds `properties` and what else stands beside them."""

    id: ReadOnly[str] = ""
    name: ReadOnly[str] = ""
    type: ReadOnly[str] = ""
    location: Text | None = None
    tags: Tags | None = None
    etag: ReadOnly[str | None] = None


class Properties(Struct, rename="camel", omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the objects inside `properties`; members default to None, and None is never shown."""


class SubResource(Properties):
    """A reference by id."""

    id: Id


M = TypeVar("M", bound=ArmResource)


@dataclass
class PutContext(Generic[M]):
    """A create or update under way, in its transaction. The type's `put` completes `new` and `row` in place."""

    work: UnitOfWork
    service: "ResourceService"
    id: ResourceId
    row: ResourceRow
    new: M
    old: M | None
    links: list[Link] = field(default_factory=list)
    operation: OperationRow | None = None

    def refer(self, text: str, type_name: str, kind: str, *, target: str, place: str = "") -> ResourceRow:
        """Follow a reference: it must exist, be of this type and be in the same location; remembers the link.

        For a type that lives inside its parent, the parent's row is returned.
        """
        found = parse_id(text, target)
        if found.type.lower() != type_name.lower():
            raise BadRequest("InvalidPropertyId", f"'{text}' is not the id of a {type_name}.", target=target)
        row = self.service.find(self.work, found)
        here = self.new.location
        if row is None or (here and row.location and normalise(row.location) != normalise(here)):
            raise BadRequest(
                "InvalidResourceReference",
                f"Resource {found} referenced by resource {self.id} was not found. Please make sure that the "
                "referenced resource exists, and that both resources are in the same region.",
                target=target,
            )
        if row.state == "Deleting":
            raise Conflict("ReferencedResourceNotProvisioned", f"Resource {found} is being deleted.", target=target)
        self.links.append(Link(self.id.key, found.key, kind, place))
        return row


@dataclass
class DeleteContext:
    """A delete under way. `forced`: the client asked for forceDeletion."""

    work: UnitOfWork
    service: "ResourceService"
    id: ResourceId
    row: ResourceRow
    forced: bool = False


@dataclass
class ActionContext:
    """A POST on a resource, or a GET of one of its views. `row` is None where the type says it needn't exist."""

    work: UnitOfWork
    service: "ResourceService"
    id: ResourceId
    row: ResourceRow | None
    body: Any
    query: Mapping[str, str]
    base_url: str

    @property
    def resource(self) -> ResourceRow:
        """The row of a resource that must exist."""
        assert self.row is not None
        return self.row


@dataclass(frozen=True)
class Result:
    """What an action answers: a body, or an operation to poll (202)."""

    body: Any = None
    operation: OperationRow | None = None
    status: int = 200


@dataclass(frozen=True)
class Query:
    """A query parameter: its name, the type of its value, and what it asks for."""

    name: str
    type: Any
    text: str


def check_query(declared: Sequence[Query], query: Mapping[str, str]) -> None:
    """Raises BadRequest for a value that a declared parameter can't have."""
    for parameter in declared:
        text = query.get(parameter.name.lower())
        if text is not None:
            check_parameter(parameter.name, text, parameter.type)


class NoBody(Struct, forbid_unknown_fields=True):
    """The body of an action that takes none: nothing, or an empty object."""


@dataclass(frozen=True)
class Action:
    """A POST on a resource. `exists=False`: the resource needn't be there (`deployments/validate`).

    `body`: what its body is decoded to, for `ActionContext.body`; with a `parse` of its own it is only described by it.
    `answer`: what a 200 holds; None where it starts an operation (202).
    """

    run: Callable[[ActionContext], Result]
    exists: bool = True
    parse: Callable[[bytes], Any] | None = None
    body: type = NoBody
    answer: Any = None
    query: Sequence[Query] = ()


@dataclass(frozen=True)
class Reading:
    """A GET below a resource: how it is answered, and the type of the answer."""

    run: Callable[[ActionContext], Any]
    answer: Any
    query: Sequence[Query] = ()


def remove_row(context: DeleteContext) -> OperationRow | None:
    """The delete of a type that has nothing on any host."""
    context.work.resources.delete(context.row.key)
    return None


def in_use(row: ResourceRow, links: Sequence[Link]) -> ArmError:
    """The refusal to delete what others refer to, for types without a code of their own."""
    users = ", ".join(sorted({link.place or link.source for link in links}))
    return Conflict("ResourceInUse", f"Resource {row.id} cannot be deleted because it is in use by {users}.")


@dataclass(frozen=True)
class ResourceType:
    """A type with rows of its own.

    `put` validates and completes; `delete` removes the row or starts an operation. `expand` adds to the bodies of a
    GET or a page what other rows know (back references), `query_expand` what its query asks for. `views`: GETs below
    the resource; `actions`: POSTs below it; both by their name in Azure's casing. `get_query`, `list_query`,
    `delete_query`: what these take, a list beside its paging. `body`: describes the body where `parse` takes more.
    `created`, `updated`: statuses of a PUT without an operation, `accepted` with one; `deleted`: of a DELETE without.
    `brief`: a GET reads a few rows by key; not so of a type that shows all its users.
    `missing`: the refusal of a name that isn't there, for a type that can say more than that.
    """

    name: str
    model: type[ArmResource]
    put: Callable[[PutContext[Any]], None]
    delete: Callable[[DeleteContext], OperationRow | None] = remove_row
    in_use: Callable[[ResourceRow, Sequence[Link]], ArmError] = in_use
    expand: Callable[[UnitOfWork, Shown], None] | None = None
    query_expand: Callable[[UnitOfWork, ResourceRow, Body, Mapping[str, str]], None] | None = None
    actions: Mapping[str, Action] = field(default_factory=dict)
    views: Mapping[str, Reading] = field(default_factory=dict)
    get_query: Sequence[Query] = ()
    list_query: Sequence[Query] = ()
    delete_query: Sequence[Query] = ()
    tracked: bool = True
    name_pattern: re.Pattern[str] = NAME
    created: int = 201
    updated: int = 200
    deleted: int = 200
    accepted: int | None = None  # None: as without an operation
    parse: Callable[[bytes], Any] | None = None
    body: type | None = None
    puts: bool = True
    brief: bool = True
    missing: Callable[[UnitOfWork, ResourceId], NotFound] | None = None

    def action(self, name: str) -> Action | None:
        """The action of this name, in any casing."""
        return next((action for known, action in self.actions.items() if known.lower() == name.lower()), None)

    def view(self, name: str) -> Reading | None:
        """The view of this name, in any casing."""
        return next((view for known, view in self.views.items() if known.lower() == name.lower()), None)


@dataclass(frozen=True)
class EmbeddedType:
    """A child that lives in a list inside its parent's properties: subnets, security rules.

    Its PUT and DELETE are updates of the parent, so that one place validates. `extra_member`: a second, read-only
    list of the parent that GETs also find (an NSG's defaultSecurityRules), served under `extra_type`.
    """

    name: str
    parent: str
    member: str
    model: type[Struct]
    in_use: Callable[[str, Sequence[Link]], ArmError] | None = None
    expand: Callable[[UnitOfWork, Sequence[Body]], None] | None = None
    read_only: bool = False
    name_pattern: re.Pattern[str] = NAME


AnyType = ResourceType | EmbeddedType


@dataclass(frozen=True)
class Order:
    """A POST at a view's path: what takes it up, what its body is decoded to, and what it answers (202)."""

    run: Callable[["ViewContext", Any], Any]
    body: type
    answer: Any


@dataclass(frozen=True)
class View:
    """A GET that belongs to no stored resource: `Microsoft.Compute/locations/{location}/vmSizes`. `order`: and a POST.

    `path` is matched segment by segment without regard to case; `{x}` takes any segment and hands it over by name.
    """

    path: str
    run: Callable[["ViewContext"], Any]
    answer: Any
    query: Sequence[Query] = ()
    order: Order | None = None


@dataclass(frozen=True)
class ViewContext:
    """A view's request: the named segments of its path, its query, and its transaction."""

    work: UnitOfWork
    service: "ResourceService"
    subscription: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    base_url: str
