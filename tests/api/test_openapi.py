"""/openapi.json: valid, complete, and true: what it forbids is refused by path, for every property of every type."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from tests.api.client import Arm

from skerry.arm.openapi import openapi
from skerry.resources.registry import build_registry

Json = dict[str, Any]
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # what is refused reaches no database
DOCUMENT = openapi(build_registry(), "test")
SCHEMAS: Json = DOCUMENT["components"]["schemas"]
LIMIT = 5000  # a list longer than this isn't made


def _bodies() -> dict[str, str]:
    """The path of each type that is PUT, with the name of its body's schema."""
    found = {}
    for path, operations in DOCUMENT["paths"].items():
        body = operations.get("put", {}).get("requestBody")
        if body and "$ref" in body["content"]["application/json"]["schema"]:
            found[path] = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    return found


def _plain(schema: Json) -> Json:
    """A schema without its references, and without the null that stands for an absent value."""
    if "$ref" in schema:
        return _plain(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    for word in ("anyOf", "allOf"):
        options = [option for option in schema.get(word, []) if option != {"type": "null"}]
        if len(options) == 1:
            return _plain(options[0])
    return schema


def _good(schema: Json) -> Any:
    """A value with nothing more than it must have."""
    schema = _plain(schema)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: _good(schema["properties"][name]) for name in schema.get("required", [])}
    if kind == "array":
        return []
    if "integer" in kind:
        return schema.get("minimum", 1)
    return False if "boolean" in kind else "x"


def _bad(schema: Json) -> Iterator[Any]:
    """Values that the schema forbids, at this very place."""
    if "enum" in schema:
        yield from ("nonsense", 99)
        return
    kind = schema.get("type", "")
    if kind == "object" or "properties" in schema:
        yield from ("text", 5, [1])
    elif kind == "array":
        yield from ("text", 5, {"a": 1})
        if schema.get("maxItems", LIMIT) < LIMIT:
            yield [_good(schema.get("items", {}))] * (schema["maxItems"] + 1)
    elif "integer" in kind:
        yield from ("text", 1.5, [1], *([schema["minimum"] - 1, schema["maximum"] + 1] if "minimum" in schema else []))
    elif "boolean" in kind:
        yield from ("maybe", 7, [True])
    elif kind == "string":
        yield from (5, True, ["x"], {"a": 1})
        if "maxLength" in schema:
            yield "x" * (schema["maxLength"] + 1)
        if "pattern" in schema:
            yield "-\n/"


def _cases(schema: Json, path: str, seen: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """(path, body) of everything that a body of this schema can have wrong in one place."""
    plain = _plain(schema)
    for value in _bad(plain):
        yield path, value
    properties = plain.get("properties", {})
    if properties:
        yield f"{path}.nonsense".lstrip("."), {**_good(plain), "nonsense": 1}
    for name in plain.get("required", []):
        yield f"{path}.{name}".lstrip("."), {k: v for k, v in _good(plain).items() if k != name}
    for name, below in properties.items():
        if below.get("$ref", "-") in seen or len(seen) > 12:
            continue
        for where, value in _cases(below, f"{path}.{name}".lstrip("."), (*seen, below.get("$ref", ""))):
            yield where, {**_good(plain), name: value}
    if plain.get("type") == "array" and plain.get("items"):
        for where, value in _cases(plain["items"], f"{path}[0]", (*seen, "")):
            yield where, [value]


def test_it_is_valid_openapi() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()


def test_every_reference_leads_somewhere() -> None:
    named = set(re.findall(r"'#/components/(\w+)/([^']+)'", repr(DOCUMENT)))
    assert {(kind, name) for kind, name in named if name not in DOCUMENT["components"][kind]} == set()


def test_operation_ids_are_unique() -> None:
    ids = [o["operationId"] for here in DOCUMENT["paths"].values() for m, o in here.items() if m != "parameters"]
    assert len(ids) == len(set(ids))


def test_what_the_server_writes_is_read_only() -> None:
    vm, disk = SCHEMAS["VmProperties"]["properties"], SCHEMAS["Disk"]["properties"]
    assert all(vm[name]["readOnly"] for name in ("vmId", "provisioningState", "instanceView", "timeCreated"))
    assert disk["managedBy"]["readOnly"]
    assert "readOnly" not in vm["userData"]


@on_sqlite
def test_it_is_served_without_a_token_and_says_nothing_of_tenants(arm: Arm) -> None:
    answer = arm.client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["openapi"] == "3.1.0"
    assert arm.subscription not in answer.text
    assert arm.control.service.installation.tenant not in answer.text


@on_sqlite
@pytest.mark.parametrize("path", _bodies())
def test_every_forbidden_value_is_refused_by_its_path(arm: Arm, path: str) -> None:
    schema = {"$ref": f"#/components/schemas/{_bodies()[path]}"}
    validator = jsonschema_rs.validator_for({**schema, "components": {"schemas": SCHEMAS}})
    arm.nic(arm.group())
    arm.put("resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/nsg", {"location": "local"})
    if "{restorePointName}" in path:
        _collection(arm)
    url = path.format_map(_Names(arm.subscription))
    before = {kind: _all(arm, kind) for kind in ("virtualNetworks", "networkSecurityGroups", "networkInterfaces")}
    count, wrong = 0, []
    for target, body in _cases(SCHEMAS[_bodies()[path]], ""):
        if not target:
            continue
        assert not validator.is_valid(body), body
        answer = arm.put(url, body)
        error = answer.body.get("error", {})
        good = answer.status == 400 and error.get("target") == target and target in error["message"]
        wrong += [] if good else [(target, answer.status, error, str(body)[:300])]
        count += 1
    assert wrong == []
    assert count > 10
    assert before == {kind: _all(arm, kind) for kind in before}


@on_sqlite
def test_a_body_that_is_no_object_is_refused(arm: Arm) -> None:
    arm.nic(arm.group())
    arm.put("resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/nsg", {"location": "local"})
    _collection(arm)
    for path in _bodies():
        for body in (b'"text"', b"5", b"[]", b"null", b"true", b"{", b""):
            answer = arm.put(path.format_map(_Names(arm.subscription)), body)
            assert (answer.status, answer.code) == (400, "InvalidRequestContent")


def _collection(arm: Arm) -> None:
    vm = arm.vm("resourceGroups/rg")
    source = {"source": {"id": f"/subscriptions/{arm.subscription}/{vm}"}}
    path = "resourceGroups/rg/providers/Microsoft.Compute/restorePointCollections/kept"
    assert arm.put(path, {"location": "local", "properties": source}).status == 201


def _all(arm: Arm, kind: str) -> Any:
    return arm.get(f"providers/Microsoft.Network/{kind}").body


class _Names(dict[str, str]):
    """The names in a path: parents are there, the rest isn't."""

    def __init__(self, subscription: str) -> None:
        super().__init__(subscriptionId=subscription, resourceGroupName="rg", virtualNetworkName="net")
        self |= {"networkSecurityGroupName": "nsg", "restorePointCollectionName": "kept"}

    def __missing__(self, name: str) -> str:
        return "new"
