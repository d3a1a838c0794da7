"""Times, all in UTC. `utcNow` and `newGuid` change with every call, so ARM allows them in parameter defaults only."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from skerry.templates.errors import Fault
from skerry.templates.functions.registry import function, integer, text

if TYPE_CHECKING:
    from skerry.templates.frame import Frame

_COMPACT = "yyyyMMddTHHmmssZ"
_GENERAL = "M/d/yyyy h:mm:ss tt"
_STANDARD = {"d": "M/d/yyyy", "G": _GENERAL, "u": "yyyy-MM-dd HH:mm:ssZ", "s": "yyyy-MM-ddTHH:mm:ss"}
_STANDARD |= {"o": "yyyy-MM-ddTHH:mm:ss.fffffffZ", "O": "yyyy-MM-ddTHH:mm:ss.fffffffZ"}
_FIELD = re.compile(r"yyyy|yy|M{1,4}|d{1,4}|HH?|hh?|mm?|ss?|f{1,7}|tt|'[^']*'|\\.|.", re.DOTALL)
_STRFTIME = {"yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "dddd": "%A", "ddd": "%a", "dd": "%d"}
_STRFTIME |= {"HH": "%H", "hh": "%I", "mm": "%M", "ss": "%S", "tt": "%p"}
_UNPADDED = {"M": "%m", "d": "%d", "H": "%H", "h": "%I", "m": "%M", "s": "%S"}
_DURATION = re.compile(
    r"(-)?P(?=.)(?:(\d{1,9})Y)?(?:(\d{1,9})M)?(?:(\d{1,9})W)?(?:(\d{1,9})D)?"
    r"(?:T(?=.)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?",
    re.ASCII,
)
# As .NET's XmlConvert reads them: years of 365 days, months of 30.
_SECONDS = (365 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60, 1)


def _only_in_defaults(frame: Frame) -> None:
    if not frame.in_defaults:
        raise Fault("it is not expected here: it can be used only in the default value of a parameter.")


@function("utcNow", 0, 1, framed=True)
def utc_now(frame: Frame, pattern: Any = _COMPACT) -> str:
    _only_in_defaults(frame)
    return _written(datetime.now(UTC), text(pattern))


@function("newGuid", 0, 0, framed=True)
def new_guid(frame: Frame) -> str:
    _only_in_defaults(frame)
    return str(uuid.uuid4())


@function("dateTimeAdd", 2, 3)
def date_time_add(base: Any, duration: Any, pattern: Any = _GENERAL) -> str:
    try:
        return _written(_read(text(base)) + _duration(text(duration)), text(pattern))
    except OverflowError:
        raise Fault("the time is beyond the year 9999 or before the year 1.") from None


@function("dateTimeToEpoch", 1, 1)
def date_time_to_epoch(value: Any) -> int:
    return int(_read(text(value)).timestamp())


@function("dateTimeFromEpoch", 1, 1)
def date_time_from_epoch(seconds: Any) -> str:
    try:
        return _written(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=integer(seconds)), "yyyy-MM-ddTHH:mm:ssZ")
    except OverflowError:
        raise Fault("the time is beyond the year 9999 or before the year 1.") from None


def _read(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Fault("the string is not a time in ISO 8601.") from None


def _duration(value: str) -> timedelta:
    match = _DURATION.fullmatch(value)
    if match is None:
        raise Fault("the string is not a duration in ISO 8601.")
    amounts = (int(group or 0) for group in match.groups()[1:])
    seconds = sum(amount * unit for amount, unit in zip(amounts, _SECONDS, strict=True))
    return timedelta(seconds=-seconds if match.group(1) else seconds)


def _written(moment: datetime, pattern: str) -> str:
    """By a .NET format string: a standard one of one letter, or a custom one."""
    return "".join(_field(moment, match.group()) for match in _FIELD.finditer(_STANDARD.get(pattern, pattern)))


def _field(moment: datetime, name: str) -> str:
    if name == "yyyy":
        return f"{moment.year:04}"
    if name in _STRFTIME:
        return moment.strftime(_STRFTIME[name])
    if name in _UNPADDED:
        return str(int(moment.strftime(_UNPADDED[name])))
    if set(name) == {"f"}:
        return f"{moment.microsecond:06}0"[: len(name)]
    return name[1:-1] if name[0] == "'" and len(name) > 1 else name[1:] if name[0] == "\\" and len(name) > 1 else name
