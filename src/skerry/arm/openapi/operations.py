"""The pieces that an OpenAPI operation is made of: parameters and answers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skerry.arm.descriptor import Query

Json = dict[str, Any]
ERRORS = {
    400: "The request is wrong; `target` is the path of the property or the name of the parameter",
    401: "No token that is good here",
    404: "What the path names isn't there",
    405: "The path doesn't have this method",
    409: "It doesn't fit the present state",
    412: "A condition of If-Match or If-None-Match isn't met",
    413: "The body is too large",
    415: "The body isn't JSON in UTF-8",
    503: "The database can't be used now",
}
READ = (400, 401, 404, 503)
CHANGE = (*READ, 409, 412)
WRITE = (*CHANGE, 413, 415)
ACT = (*READ, 409, 413, 415)
_HEADERS = {"x-ms-request-id": {"schema": {"type": "string"}, "description": "The request, as the log names it"}}
_STARTED = {
    **_HEADERS,
    "Azure-AsyncOperation": {"schema": {"type": "string"}, "description": "Where to ask for the operation's status"},
    "Location": {"schema": {"type": "string"}, "description": "Where to ask for the operation's result"},
}


def reference(name: str, kind: str = "parameters") -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def parameter(name: str, place: str, schema: Json, text: str, *, required: bool = False) -> Json:
    """A parameter."""
    return {"name": name, "in": place, "required": required, "description": text, "schema": schema}


def path_parameter(name: str, pattern: re.Pattern[str], text: str) -> Json:
    """A name in the path."""
    schema: Json = {"type": "string"}
    if r"\w" not in pattern.pattern:  # Python's has every script's letters, ECMAScript's only ASCII's
        schema["pattern"] = f"^{pattern.pattern}$"
    return parameter(name, "path", schema, text, required=True)


def query_parameter(query: Query) -> Json:
    """A query parameter as its descriptor declares it."""
    schema = msgspec.json.schema(query.type)
    return parameter(query.name, "query", {k: v for k, v in schema.items() if k != "title"}, query.text)


def answer(text: str, schema: Json | None = None, *, started: bool = False) -> Json:
    """A response; `started`: it may have begun an operation."""
    found: Json = {"description": text, "headers": _STARTED if started else _HEADERS}
    if schema is not None:
        found["content"] = {"application/json": {"schema": schema}}
    return found


def errors(statuses: Sequence[int], *, empty: bool = False) -> Json:
    """The refusals that an operation may answer; `empty`: without a body, as HEAD's are."""
    return {str(s): reference(f"{'Empty' if empty else 'Error'}{s}", "responses") for s in statuses}


def error_responses(schema: Json) -> Json:
    """The components that `errors` refers to."""
    with_body = {f"Error{status}": answer(text, schema) for status, text in ERRORS.items()}
    return with_body | {f"Empty{status}": answer(text) for status, text in ERRORS.items()}


def operation(
    identifier: str,
    summary: str,
    answers: Mapping[str, Json],
    parameters: Sequence[Json] = (),
    body: Json | None = None,
    *,
    needs_body: bool = True,
) -> Json:
    """An operation; the api-version is a parameter of each."""
    found: Json = {
        "operationId": identifier,
        "summary": summary,
        "tags": [identifier.partition("_")[0]],
        "parameters": [reference("apiVersion"), *parameters],
        "responses": dict(answers),
    }
    if body is not None:
        found["requestBody"] = {"required": needs_body, "content": {"application/json": {"schema": body}}}
    return found
