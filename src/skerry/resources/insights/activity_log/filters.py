"""The `$filter` of the activity log: `eventTimestamp ge …` and more terms, joined by `and`.

Source: https://learn.microsoft.com/rest/api/monitor/activity-logs/list, and what az sends: times without quotes,
`resourceId` for `resourceUri`, `caller` and `status`.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from skerry.arm.activity import Event
from skerry.arm.errors import BadRequest
from skerry.arm.ids import ResourceId, parse_id
from skerry.resources.insights.activity_log.wire import CHANNEL, level
from skerry.store.activity import KEPT_SECONDS, ActivityRow, Window

_TERM = re.compile(r"\s*(\w+)\s+(ge|le|eq)\s+(?:'((?:[^']|'')*)'|([^\s']+))\s*", re.I)
_AND = re.compile(r"and\s", re.I)
_TIMES = ("eventtimestamp ge", "eventtimestamp le")
_NAMES = (
    *("resourcegroupname", "resourceid", "resourceuri", "resourceprovider", "correlationid"),
    *("caller", "status", "levels", "eventchannels"),
)
_SLACK_SECONDS = 3600  # who asks for the last 90 days asked a moment ago


@dataclass(frozen=True)
class Wanted:
    """Which events: `window` is found by an index, the rest is looked at in each event. All in lower case."""

    window: Window
    provider: str | None = None
    levels: frozenset[str] = field(default_factory=frozenset)

    def passing(self, row: ActivityRow) -> Event | None:
        """The row's event if it passes."""
        event = msgspec.json.decode(row.event, type=Event)
        if self.provider is not None and event.action.partition("/")[0].lower() != self.provider:
            return None
        return event if not self.levels or level(event).lower() in self.levels else None


def parse(text: str | None, subscription: str, now: float) -> Wanted:
    """Raises BadRequest for what Azure refuses too: no start, a start more than 90 days ago, other syntax."""
    terms = _terms(text or "")
    if "eventtimestamp ge" not in terms:
        raise _refuse("The $filter query parameter is required, and in it at least 'eventTimestamp ge <start time>'.")
    since = _seconds(terms.pop("eventtimestamp ge"))
    until = _seconds(terms.pop("eventtimestamp le")) if "eventtimestamp le" in terms else None
    if since < now - KEPT_SECONDS - _SLACK_SECONDS:
        raise _refuse("The start time cannot be more than 90 days in the past.")
    if since > (now if until is None else until):
        raise _refuse("The start time cannot be later than the end time.")
    channels = _several(terms.get("eventchannels"))
    if channels and CHANNEL.lower() not in channels:
        until = since - 1  # all events are of one channel: none is asked for
    lower = {name: value.lower() for name, value in terms.items()}
    return Wanted(
        Window(
            since,
            until,
            _group(terms, subscription),
            _resource(terms),
            terms.get("correlationid"),
            lower.get("caller"),
            lower.get("status"),
        ),
        lower.get("resourceprovider"),
        _several(terms.get("levels")),
    )


def _terms(text: str) -> dict[str, str]:
    terms: dict[str, str] = {}
    rest = text
    while rest.strip():
        match = _TERM.match(rest)
        if match is None:
            raise _unknown(text)
        name, operator = match[1].lower(), match[2].lower()
        key = f"{name} {operator}" if name == "eventtimestamp" else name
        known = key in _TIMES if operator != "eq" else key in _NAMES
        if not known or key in terms:
            raise _unknown(text)
        terms[key] = match[4] if match[3] is None else match[3].replace("''", "'")
        rest = rest[match.end() :]
        if rest:
            joined = _AND.match(rest)
            if joined is None:
                raise _unknown(text)
            rest = rest[joined.end() :]
    return terms


def _seconds(text: str) -> float:
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise _refuse(f"'{text[:40]}' is not a time: write it as 2026-01-31T12:00:00Z.") from error
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _group(terms: dict[str, str], subscription: str) -> str | None:
    name = terms.get("resourcegroupname")
    return ResourceId(subscription, name).key if name is not None else None


def _resource(terms: dict[str, str]) -> str | None:
    text = terms.get("resourceid", terms.get("resourceuri"))
    return parse_id(text, "$filter").key if text is not None else None


def _several(text: str | None) -> frozenset[str]:
    return frozenset(part.strip().lower() for part in (text or "").split(",") if part.strip())


def _unknown(text: str) -> BadRequest:
    return _refuse(
        f"The $filter '{text[:200]}' can't be read. Skerry understands eventTimestamp with ge and le, and "
        "resourceGroupName, resourceId, resourceUri, resourceProvider, correlationId, caller, status, levels and "
        "eventChannels with eq, each once, joined by and."
    )


def _refuse(message: str) -> BadRequest:
    return BadRequest("BadRequest", message, target="$filter")
