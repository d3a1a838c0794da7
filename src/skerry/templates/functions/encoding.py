"""JSON, base 64 and URIs."""

from __future__ import annotations

import base64 as codec
import binascii
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from skerry.templates.errors import Fault, TemplateError
from skerry.templates.functions.registry import function, text
from skerry.templates.lenient import loads

_DATA_PREFIX = "data:text/plain;charset=utf8;base64,"


@function("json", 1, 1)
def json_(value: Any) -> Any:
    try:
        return loads(text(value).encode())
    except TemplateError as error:
        raise Fault(f"the string is not valid JSON: {error.message}") from None


@function("base64", 1, 1)
def base64(value: Any) -> str:
    return codec.b64encode(text(value).encode()).decode()


@function("base64ToString", 1, 1)
def base64_to_string(value: Any) -> str:
    try:
        return codec.b64decode(text(value), validate=True).decode()
    except (binascii.Error, ValueError):
        raise Fault("the string is not the base 64 of UTF-8 text.") from None


@function("base64ToJson", 1, 1)
def base64_to_json(value: Any) -> Any:
    return json_(base64_to_string(value))


@function("dataUri", 1, 1)
def data_uri(value: Any) -> str:
    return _DATA_PREFIX + base64(value)


@function("dataUriToString", 1, 1)
def data_uri_to_string(value: Any) -> str:
    head, comma, data = text(value).partition(",")
    if not head.lower().startswith("data:") or not comma:
        raise Fault("the string is not a data URI.")
    return base64_to_string(data) if head.lower().endswith(";base64") else unquote(data)


@function("uri", 2, 2)
def uri(base: Any, relative: Any) -> str:
    """The relative URI resolved against the base, as RFC 3986 does: without a slash at its end, the base loses its
    last segment."""
    try:
        if not urlsplit(text(base)).scheme:
            raise Fault("the base URI is not absolute.")
        return urljoin(text(base), text(relative))
    except ValueError:
        raise Fault("the URI is not valid.") from None


@function("uriComponent", 1, 1)
def uri_component(value: Any) -> str:
    return quote(text(value), safe="-_.~")


@function("uriComponentToString", 1, 1)
def uri_component_to_string(value: Any) -> str:
    return unquote(text(value))
