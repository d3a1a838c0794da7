"""What the network types' wire forms have in common."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta

from skerry.arm.descriptor import NAME, Body, Id, Properties, ReadOnly, Tags, Text
from skerry.arm.errors import BadRequest

VNET = "Microsoft.Network/virtualNetworks"
SUBNET = "Microsoft.Network/virtualNetworks/subnets"
NSG = "Microsoft.Network/networkSecurityGroups"
RULE = "Microsoft.Network/networkSecurityGroups/securityRules"
DEFAULT_RULE = "Microsoft.Network/networkSecurityGroups/defaultSecurityRules"
PUBLIC_IP = "Microsoft.Network/publicIPAddresses"
NIC = "Microsoft.Network/networkInterfaces"
IP_CONFIGURATION = "Microsoft.Network/networkInterfaces/ipConfigurations"


_NAME = Meta(pattern=rf"\A{NAME.pattern}\Z", extra={"code": "InvalidResourceName"})
FORMAT = Meta(extra={"code": "InvalidRequestFormat"})  # what Microsoft.Network says of a value that can't be one
Prefix = Annotated[str, Meta(max_length=64)]
Address = Annotated[str, Meta(max_length=64)]


class Reference(Properties):
    """A reference by id. Clients may send the whole resource as they read it; only its id counts then."""

    id: Id
    name: Text | None = None
    type: Text | None = None
    etag: Text | None = None
    location: Text | None = None
    tags: Tags | None = None
    sku: dict[str, Any] | None = None
    zones: Annotated[list[Text], Meta(max_length=3)] | None = None
    properties: dict[str, Any] | None = None


class Child(Properties):
    """What every part with an id of its own has: a subnet, a rule, an ipConfiguration."""

    id: ReadOnly[str | None] = None
    name: Annotated[str, _NAME] | None = None
    type: ReadOnly[str | None] = None
    etag: ReadOnly[str | None] = None


def invalid(message: str, target: str) -> BadRequest:
    """The refusal of a value that can't be one."""
    return BadRequest("InvalidRequestFormat", f"Cannot parse the request. {message}", target=target)


def unsupported(message: str, target: str) -> BadRequest:
    """The refusal of what Azure has and Skerry doesn't."""
    return BadRequest("NotSupported", f"{message} Skerry does not support this.", target=target)


def one_of(value: str, options: Sequence[str], target: str) -> str:
    """The option that `value` names in any casing. Raises BadRequest."""
    found = next((option for option in options if option.lower() == value.lower()), None)
    if found is None:
        raise invalid(f"The value '{value}' of '{target}' is not one of {', '.join(options)}.", target)
    return found


def refuse_true(target: str, value: bool | None, message: str) -> None:
    """Raises BadRequest for a switch that can't be turned on here."""
    if value:
        raise unsupported(message, target)


def adopt(children: Sequence[Child], parent: str, type_name: str, before: Iterable[Child]) -> None:
    """Complete the envelopes of a parent's children; names keep the case of their first PUT.

    Raises BadRequest for a name that is missing, can't be one, or stands there twice.
    """
    collection = type_name.rpartition("/")[2]
    known = {(child.name or "").lower(): child.name for child in before}
    seen: set[str] = set()
    for child in children:
        name = child.name or ""
        if not NAME.fullmatch(name):
            raise BadRequest(
                "InvalidResourceName",
                f"Resource name '{name}' in {collection} is invalid. The name can be up to 80 characters long. It must "
                "begin with a word character, and it must end with a word character. The name may contain word "
                "characters or '.', '-', '_'.",
                target=collection,
            )
        if name.lower() in seen:
            raise invalid(f"{collection} has two entries named '{name}'.", collection)
        seen.add(name.lower())
        child.name = known.get(name.lower(), name)
        child.id, child.type, child.etag = f"{parent}/{collection}/{child.name}", type_name, None


def stamp(children: Iterable[Body], etag: str) -> None:
    """Show the parent's ETag on each of its children, which share it."""
    for child in children:
        child["etag"] = f'W/"{etag}"'


def references(ids: Iterable[str]) -> list[Mapping[str, str]]:
    """A list of back references."""
    return [{"id": identifier} for identifier in ids]
