"""An event as Azure's clients read it.

Source: https://learn.microsoft.com/azure/azure-monitor/platform/activity-log-schema#administrative-category
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, NotRequired, TypedDict

import orjson

from skerry.arm.activity import Event
from skerry.arm.body import encode
from skerry.arm.errors import BadRequest, envelope
from skerry.arm.ids import ResourceId, parse_id
from skerry.store.activity import ActivityRow

Body = dict[str, Any]
CHANNEL = "Operation"
_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
_NAMES = {
    name.lower(): name
    for name in (
        *("authorization", "caller", "category", "channels", "claims", "correlationId", "description", "eventDataId"),
        *("eventName", "eventTimestamp", "httpRequest", "id", "level", "operationId", "operationName", "properties"),
        *("resourceGroupName", "resourceId", "resourceProviderName", "resourceType", "status", "subStatus"),
        *("submissionTimestamp", "subscriptionId", "tenantId"),
    )
}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def localizable(value: str, shown: str | None = None) -> Body:
    """A LocalizableString."""
    return {"value": value, "localizedValue": shown or value}


def level(event: Event) -> str:
    """How serious an event is."""
    return {"Failed": "Error", "Canceled": "Warning"}.get(event.status, "Informational")


def view(row: ActivityRow, event: Event, subscription: str, tenant: str) -> Body:
    """One EventData."""
    resource, when = parse_id(event.resource), _timestamp(row.at)
    type_name = event.action.removesuffix("/action").rpartition("/")[0]
    origin = event.origin
    return {
        "authorization": {"action": event.action, "scope": event.resource},
        "caller": origin.caller,
        "category": localizable("Administrative"),
        "channels": CHANNEL,
        "claims": _claims(event),
        "correlationId": row.correlation_id,
        "description": "",
        "eventDataId": row.id,
        "eventName": _event_name(event),
        "eventTimestamp": when,
        "httpRequest": {
            "clientRequestId": origin.client_request_id,
            "clientIpAddress": origin.client,
            "method": origin.method,
        },
        "id": f"{event.resource}/events/{row.id}/ticks/{_ticks(row.at)}",
        "level": level(event),
        "operationId": event.operation,
        "operationName": localizable(event.action, _title(event.action, type_name)),
        "properties": _properties(event, subscription),
        "resourceGroupName": resource.group,
        "resourceId": event.resource,
        "resourceProviderName": localizable(_provider(resource)),
        "resourceType": localizable(type_name),
        "status": localizable(event.status),
        "subStatus": _sub_status(event.code),
        "submissionTimestamp": when,
        "subscriptionId": subscription,
        "tenantId": tenant,
    }


def select(bodies: Sequence[Body], names: str | None) -> Sequence[Body]:
    """The bodies with the members that `$select` names only."""
    if names is None or not names.strip():
        return bodies
    asked = [name.strip().lower() for name in names.split(",") if name.strip()]
    unknown = [name for name in asked if name not in _NAMES]
    if unknown:
        known = ", ".join(_NAMES.values())
        raise BadRequest("BadRequest", f"$select names '{unknown[0][:100]}'. It may name {known}.", target="$select")
    kept = {_NAMES[name] for name in asked}
    return [{name: value for name, value in body.items() if name in kept} for body in bodies]


def _properties(event: Event, subscription: str) -> Body:
    """Strings only: clients read a map of strings."""
    found = {
        "eventCategory": "Administrative",
        "entity": event.resource,
        "message": event.action,
        "hierarchy": subscription,
        "serviceRequestId": event.origin.request_id,
        "statusCode": _phrase(event.code).replace(" ", "") if event.code else event.status,
    }
    if event.error is not None:
        found["statusMessage"] = encode(envelope(event.error)).decode()
    if event.seconds is not None:
        found["seconds"] = str(event.seconds)
        found["steps"] = orjson.dumps(event.steps).decode()
    if event.started:
        found["start"] = event.started["start"]
        found["startSeconds"] = orjson.dumps({k: v for k, v in event.started.items() if k != "start"}).decode()
    if event.left_out:
        found["refusalsNotLogged"] = str(event.left_out)
    return found


def _claims(event: Event) -> dict[str, str]:
    origin = event.origin
    claims = {"appid": origin.app_id, _OBJECT_ID: origin.object_id}
    if origin.caller != origin.app_id:
        claims |= {_UPN: origin.caller, "name": origin.caller}
    return {name: value for name, value in claims.items() if value}


def _event_name(event: Event) -> Body:
    began = event.status == "Accepted"
    return localizable("BeginRequest", "Begin request") if began else localizable("EndRequest", "End request")


def _sub_status(code: int) -> Body:
    if not code:
        return localizable("")
    phrase = _phrase(code)
    return localizable(phrase.replace(" ", ""), f"{phrase} (HTTP Status Code: {code})")


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return str(code)


def _provider(resource: ResourceId) -> str:
    return resource.namespace or "Microsoft.Resources"


def _title(action: str, type_name: str) -> str:
    """`Create or Update Virtual Machine`, from the last part of the type."""
    noun = _words(_singular(type_name.rpartition("/")[2]))
    verb = action.removesuffix("/action").rpartition("/")[2]
    if action.endswith("/action"):
        return f"{_words(verb)} {noun}"
    return f"{'Create or Update' if verb == 'write' else 'Delete'} {noun}"


def _words(name: str) -> str:
    return " ".join(word[0].upper() + word[1:] for word in _WORD.findall(name))


def _singular(name: str) -> str:
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if name.endswith(ending):
            return name.removesuffix(ending) + instead
    return name


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def _ticks(seconds: float) -> int:
    """.NET's: 100 ns since the year 1."""
    return int((seconds + 62_135_596_800) * 10_000_000)


class Localizable(TypedDict):
    """A name with what is shown for it."""

    value: str
    localizedValue: str


class EventList(TypedDict):
    """A page of events; `$select` chooses what each shows."""

    value: list[dict[str, Any]]
    nextLink: NotRequired[str]


class CategoryList(TypedDict):
    """The categories that there are events of."""

    value: list[Localizable]
