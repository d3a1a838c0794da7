"""What a client says besides its body, taken apart and refused where it can't be meant: path, query, host, media type.

Nothing here knows ARM's paths; it gives the rest of Skerry plain text without control characters, in UTF-8.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from skerry.arm.errors import ArmError, BadRequest

MAX_SEGMENT = 512  # characters; the longest name that a type takes has 90
MAX_PARAMETERS = 64
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_JSON = re.compile(r"(?:application|text)/(?:[a-z0-9.-]+\+)?json\s*(?:;(?P<parameters>.*))?", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)


class UnsupportedMedia(ArmError):
    """The body is said to be something else than JSON in UTF-8."""

    status = 415


def segments(scope: Mapping[str, Any]) -> tuple[str, ...]:
    """The segments of an ASGI request's path, empty ones dropped. Raises BadRequest `InvalidRequestUri`.

    They are cut before they are decoded, so that a name never becomes two by `%2F` in it.
    """
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return tuple(_segment(part) for part in raw.split(b"/") if part)


def _segment(part: bytes) -> str:
    if part.isalnum():
        return part.decode() if len(part) <= MAX_SEGMENT else _bad_path("it has a segment that is too long")
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        return _bad_path("it is not UTF-8")
    if len(text) > MAX_SEGMENT:
        return _bad_path("it has a segment that is too long")
    if text in (".", "..") or "/" in text or "\\" in text or _CONTROL.search(text):
        return _bad_path("a segment of it is '.' or '..', or has a slash or a control character")
    return text


def _bad_path(reason: str) -> str:
    raise BadRequest("InvalidRequestUri", f"The path of the request is invalid: {reason}.")


def query(text: bytes) -> Mapping[str, str]:
    """The query's parameters by lower-case name. Raises BadRequest for one that stands there with two values."""
    if not text:
        return {}
    try:
        pairs = parse_qsl(text.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise BadRequest(
            "InvalidQueryString", f"The query string must be UTF-8 and have at most {MAX_PARAMETERS} parameters."
        ) from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if found.setdefault(name.lower(), value) != value or "\0" in name + value:
            raise BadRequest(
                "InvalidQueryParameter",
                f"The query parameter '{name[:64]}' stands there with two values, or has a NUL character.",
                target=name[:64],
            )
    return found


def base_url(scheme: str, host: str | None) -> str:
    """How the client reached us, for links. Raises BadRequest for a Host header that names no host."""
    if host is not None and not _HOST.fullmatch(host):
        raise BadRequest("InvalidHostHeader", "The Host header of the request names no host.")
    return f"{scheme}://{host or 'localhost'}"


def check_media_type(content_type: str | None) -> None:
    """Raises UnsupportedMedia for a body that isn't JSON in UTF-8; one without a type is taken for that."""
    if content_type is None:
        return
    found = _JSON.fullmatch(content_type.strip())
    charset = _CHARSET.search(found["parameters"] or "") if found else None
    if found is None or (charset is not None and charset[1].lower() not in ("utf-8", "utf8", "us-ascii", "")):
        raise UnsupportedMedia(
            "UnsupportedMediaType",
            f"The content media type '{content_type[:128]}' is not supported. Only 'application/json' in UTF-8 is.",
        )
