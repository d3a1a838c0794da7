"""Bodies: null is absent, names match without case, and what a type doesn't have is refused by path."""

from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Meta

from skerry.arm.body import decode, merge_patch, parse_json
from skerry.arm.descriptor import ArmResource, Properties
from skerry.arm.errors import ArmError, BadRequest


class Inner(Properties, kw_only=True):
    count: int
    flag: bool | None = None
    names: list[str] = []


class Thing(ArmResource, kw_only=True):
    properties: Inner
    mode: Literal["Static", "Dynamic"] | None = None
    forwarding: Literal[False] | None = None


def test_null_is_absent_and_names_match_without_case() -> None:
    thing = decode({"PROPERTIES": {"Count": "5", "FLAG": "true", "names": None}, "tags": None}, Thing)
    assert (thing.properties.count, thing.properties.flag, thing.properties.names) == (5, True, [])


def test_an_unknown_member_is_refused_by_its_path() -> None:
    with pytest.raises(BadRequest) as caught:
        decode({"properties": {"count": 1, "colour": "red"}}, Thing)
    assert caught.value.detail.target == "properties.colour"
    assert "colour" in caught.value.message


@pytest.mark.parametrize("nothing", [None, [], {}, ""])
def test_an_unknown_member_that_asks_for_nothing_is_dropped(nothing: object) -> None:
    assert decode({"properties": {"count": 1, "colour": nothing}}, Thing).properties.count == 1


def test_a_wrong_type_is_refused_by_its_path() -> None:
    with pytest.raises(BadRequest) as caught:
        decode({"properties": {"count": [1]}}, Thing)
    assert caught.value.detail.target == "properties.count"


def test_an_option_matches_without_case() -> None:
    thing = decode({"properties": {"count": 1}, "mode": "static", "forwarding": "False"}, Thing)
    assert (thing.mode, thing.forwarding) == ("Static", False)


@pytest.mark.parametrize(("name", "value"), [("mode", "Other"), ("mode", ["Static"]), ("forwarding", True)])
def test_another_value_is_refused_with_the_ones_there_are(name: str, value: Any) -> None:
    with pytest.raises(BadRequest, match=f"of '{name}' is not supported: use (Dynamic, Static|false)") as caught:
        decode({"properties": {"count": 1}, name: value}, Thing)
    assert caught.value.detail.target == name


def test_a_member_in_two_casings_is_refused() -> None:
    with pytest.raises(BadRequest, match="twice"):
        decode({"properties": {"count": 1, "Count": 2}}, Thing)


def test_deep_json_is_refused() -> None:
    with pytest.raises(BadRequest, match="nested deeper"):
        parse_json(b"[" * 100 + b"]" * 100)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"x":{"a":":","a":2}}',
        b'[{"a":1},{"b":1,"b":1}]',
        b'{"a":"\\u0000"}',
        b'{"\\u0000":1}',
        b'{"a":"\\ud800"}',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":1,}',
        b"\xef\xbb\xbf{}",
        b'{"a":"\xff"}',
        b"",
        b"[" * 5000,
        b"1" * 5000,
    ],
)
def test_what_readers_take_apart_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_json(body)


@pytest.mark.parametrize("body", [b'{"a":"a:b:c","b":{"a":1}}', b'{"a":"\\\\u0000"}'])
def test_colons_and_backslashes_in_strings_are_taken(body: bytes) -> None:
    assert parse_json(body)


class Bounded(Properties, kw_only=True):
    count: Annotated[int, Meta(ge=1, le=5, extra={"code": "OutOfRange"})] | None = None
    tags: dict[str, str] | None = None
    rows: list["Bounded"] | None = None


@pytest.mark.parametrize(
    ("body", "target", "code"),
    [
        ({"count": 6}, "count", "OutOfRange"),
        ({"count": "6"}, "count", "OutOfRange"),
        ({"count": 2**70}, "count", "OutOfRange"),
        ({"rows": [{}, {"rows": [{"Count": 0}]}]}, "rows[1].rows[0].count", "OutOfRange"),
        ({"rows": {}}, "rows", "InvalidRequestContent"),
        ({"tags": {"a": 1}}, "tags.a", "InvalidRequestContent"),
        ({"count": True}, "count", "OutOfRange"),
        ({"count": 1.5}, "count", "OutOfRange"),
    ],
)
def test_a_forbidden_value_is_refused_by_its_path(body: Any, target: str, code: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(body, Bounded)
    assert (caught.value.detail.target, caught.value.code) == (target, code)
    assert target in caught.value.message


@pytest.mark.parametrize("value", [3, "3", 3.0])
def test_a_number_may_come_as_a_string(value: object) -> None:
    assert decode({"count": value}, Bounded).count == 3


@given(st.binary())
def test_any_bytes_parse_or_are_refused(body: bytes) -> None:
    try:
        parse_json(body)
    except ArmError as error:
        assert error.status == 400


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["properties", "tags", "name", "x"]), json))
def test_any_object_decodes_or_is_refused(body: dict[str, object]) -> None:
    try:
        decode(body, Thing)
    except ArmError as error:
        assert error.status == 400


def test_a_patch_merges_objects_but_replaces_tags() -> None:
    stored = {"tags": {"a": "1", "b": "2"}, "properties": {"x": {"y": 1, "z": 2}}}
    merged = merge_patch(stored, {"Tags": {"c": "3"}, "properties": {"X": {"y": 5}, "none": None}})
    assert merged == {"tags": {"c": "3"}, "properties": {"x": {"y": 5, "z": 2}}}
