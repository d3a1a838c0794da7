"""Resource ids: case-insensitive, kept in the case they were created with, `//` collapsed.

Source: https://learn.microsoft.com/rest/api/resources/resources/get-by-id and WIRE.md rule 8.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

from skerry.arm.errors import BadRequest

LONGEST_REMEMBERED = 1024  # characters of an id that was parsed


@dataclass(frozen=True)
class ResourceId:
    """`/subscriptions/S/resourceGroups/G/providers/NS/T1/N1/T2/N2…`; a resource group has no namespace.

    `types` and `names` have the same length, at least 1 unless it is the group itself.
    """

    subscription: str
    group: str
    namespace: str = ""
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """`Namespace/t1/t2` as written."""
        return "/".join((self.namespace, *self.types)) if self.namespace else "Microsoft.Resources/resourceGroups"

    @property
    def name(self) -> str:
        """The last name: the resource's own."""
        return self.names[-1] if self.names else self.group

    @cached_property
    def key(self) -> str:
        """What two ids of the same resource have in common."""
        return self._text.lower()

    @property
    def parent(self) -> "ResourceId | None":
        """The resource that this one is a child of; None for a resource directly in its group."""
        if len(self.types) < 2:
            return None
        return ResourceId(self.subscription, self.group, self.namespace, self.types[:-1], self.names[:-1])

    @property
    def group_id(self) -> "ResourceId":
        """The id of the resource group."""
        return ResourceId(self.subscription, self.group)

    @property
    def label(self) -> str:
        """`Namespace/t1/n1/t2/n2`, as ARM names resources in messages."""
        return "/".join((self.namespace, *(part for pair in self._pairs() for part in pair)))

    def child(self, kind: str, name: str) -> "ResourceId":
        """The id of a child of this resource."""
        return ResourceId(self.subscription, self.group, self.namespace, (*self.types, kind), (*self.names, name))

    def _pairs(self) -> tuple[tuple[str, str], ...]:
        return tuple(zip(self.types, self.names, strict=True))

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        head = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        if not self.namespace:
            return head
        return "/".join((head, "providers", self.namespace, *(part for pair in self._pairs() for part in pair)))


def split_path(path: str) -> list[str]:
    """The segments of a path, empty ones dropped."""
    return [segment for segment in path.split("/") if segment]


def parse_id(text: str, target: str | None = None) -> ResourceId:
    """Parse a resource id or a resource group's id.

    Raises BadRequest `LinkedInvalidPropertyId`, as ARM does for a reference it can't read.
    """
    found = None
    if isinstance(text, str):
        found = _parse_again(text) if len(text) <= LONGEST_REMEMBERED else _parse(text)
    if found is None:
        raise _invalid(text, target)
    return found


def _parse(text: str) -> ResourceId | None:
    parts = split_path(text)
    head = [part.lower() for part in parts[0:3:2]]
    if head != ["subscriptions", "resourcegroups"] or len(parts) < 4 or not text.startswith("/") or "\0" in text:
        return None
    if len(parts) == 4:
        return ResourceId(parts[1], parts[3])
    rest = parts[6:]
    if parts[4].lower() != "providers" or len(parts) < 8 or len(rest) % 2:
        return None
    return ResourceId(parts[1], parts[3], parts[5], tuple(rest[0::2]), tuple(rest[1::2]))


_parse_again = lru_cache(1024)(_parse)  # a request or step reads the same few ids several times


def _invalid(text: object, target: str | None) -> BadRequest:
    where = f" at path '{target}'" if target else ""
    return BadRequest(
        "LinkedInvalidPropertyId",
        f"Property id '{text}'{where} is invalid. Expect fully qualified resource Id that start with "
        "'/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'.",
        target=target,
    )
