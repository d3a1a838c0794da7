"""Microsoft.Insights: the activity log, newest first.

Source: https://learn.microsoft.com/rest/api/monitor/activity-logs/list and event-categories/list (2015-04-01)
"""

import base64
import binascii
import time
from typing import Annotated, Any
from urllib.parse import urlencode

from msgspec import Meta

from skerry.arm.descriptor import Query, View, ViewContext
from skerry.arm.errors import BadRequest
from skerry.resources.insights.activity_log.filters import Wanted, parse
from skerry.resources.insights.activity_log.wire import Body, CategoryList, EventList, localizable, select, view
from skerry.store.activity import ActivityRow

VALUES = "Microsoft.Insights/eventtypes/management/values"
PAGE = 200
LOOKED_AT = 2000  # events that one request looks at; where few pass the filter, a page may have less, even none


def _values(context: ViewContext) -> Body:
    wanted = parse(context.query.get("$filter"), context.subscription, time.time())
    after = _after(context.query.get("$skiptoken"))
    looked_at = context.work.activity.list(wanted.window, LOOKED_AT, after)
    shown, last = _page(looked_at, wanted)
    tenant = context.service.installation.tenant
    bodies = [view(row, event, context.subscription, tenant) for row, event in shown]
    answer: Body = {"value": select(bodies, context.query.get("$select"))}
    if last is not None:
        answer["nextLink"] = _link(context, last)
    return answer


def _page(looked_at: Any, wanted: Wanted) -> tuple[list[tuple[ActivityRow, Any]], ActivityRow | None]:
    """What passes, and the row to go on after; None at the end."""
    shown = []
    for number, row in enumerate(looked_at, 1):
        event = wanted.passing(row)
        if event is not None:
            shown.append((row, event))
        if len(shown) == PAGE:
            return shown, row if number < len(looked_at) or number == LOOKED_AT else None
    return shown, looked_at[-1] if len(looked_at) == LOOKED_AT else None


def _after(token: str | None) -> tuple[float, str] | None:
    if not token:
        return None
    try:
        at, _, identifier = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode().partition(" ")
        return float(at), identifier
    except (binascii.Error, ValueError) as error:
        raise BadRequest("InvalidSkipToken", "The $skipToken is not one that a nextLink held.") from error


def _link(context: ViewContext, last: ActivityRow) -> str:
    token = base64.urlsafe_b64encode(f"{last.at!r} {last.id}".encode()).decode()
    query = {name: value for name, value in context.query.items() if name != "$skiptoken"}
    path = f"/subscriptions/{context.subscription}/providers/{VALUES}"
    return f"{context.base_url}{path}?{urlencode({**query, '$skipToken': token})}"


def _categories(_context: ViewContext) -> Body:
    """The one category that Skerry has events of."""
    return {"value": [localizable("Administrative")]}


_FILTER = Query("$filter", Annotated[str, Meta(max_length=4096)], "eventTimestamp ge '…' and …; see docs/api.md")
_SELECT = Query("$select", Annotated[str, Meta(max_length=1024)], "the members that are shown, joined by commas")
_SKIP = Query("$skipToken", Annotated[str, Meta(max_length=256)], "where to go on, from a nextLink")
VIEWS: tuple[View, ...] = (
    View(VALUES, _values, EventList, (_FILTER, _SELECT, _SKIP)),
    View("Microsoft.Insights/eventcategories", _categories, CategoryList),
)
