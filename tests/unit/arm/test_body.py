"""Bodies: null is absent, names match without case, and what a type doesn't have is refused by path."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.dictionaries(st.sampled_from(["properties", "tags", "name", "x"]), json))
def test_any_object_decodes_or_is_refused(body: dict[str, object]) -> None:
    try:
        decode(body, Thing)
    except ArmError as error:
        assert error.code == "InvalidRequestContent"


def test_a_patch_merges_objects_but_replaces_tags() -> None:
    stored = {"tags": {"a": "1", "b": "2"}, "properties": {"x": {"y": 1, "z": 2}}}
    merged = merge_patch(stored, {"Tags": {"c": "3"}, "properties": {"X": {"y": 5}, "none": None}})
    assert merged == {"tags": {"c": "3"}, "properties": {"x": {"y": 5, "z": 2}}}
