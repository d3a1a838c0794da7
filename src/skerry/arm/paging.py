"""Pages of a list: `$top`, and an opaque `$skipToken` that holds the last key shown."""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from skerry.arm.errors import BadRequest
from skerry.arm.requests import ArmRequest, ArmResponse, raw_list
from skerry.store import ResourceRow

PAGE = 100
MAX_PAGE = 1000


def page(
    request: ArmRequest,
    fetch: Callable[[str, int], Sequence[ResourceRow]],
    view: Callable[[Sequence[ResourceRow]], Sequence[bytes]],
) -> ArmResponse:
    """Answer one page; `fetch(after, limit)` reads rows in key order, `view` makes the JSON of each."""
    size = _top(request)
    rows = list(fetch(_after(request), size + 1))
    more = len(rows) > size
    rows = rows[:size]
    return raw_list(view(rows), _link(request, rows[-1].key) if more else None)


def _top(request: ArmRequest) -> int:
    text = request.query.get("$top")
    if text is None:
        return PAGE
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_PAGE:
        raise BadRequest("InvalidTopQueryString", f"The query parameter $top '{text[:20]}' must be 1 to {MAX_PAGE}.")
    return int(text)


def _after(request: ArmRequest) -> str:
    token = request.query.get("$skiptoken", "")
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise BadRequest("InvalidSkipToken", "The $skipToken is not one that a nextLink held.") from error


def _link(request: ArmRequest, key: str) -> str:
    token = base64.urlsafe_b64encode(key.encode()).decode()
    query = {**request.query, "$skiptoken": token}
    query["$skipToken"] = query.pop("$skiptoken")
    return f"{request.base_url}/{'/'.join(request.segments)}?{urlencode(query)}"
