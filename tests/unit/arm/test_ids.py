"""Resource ids: parse and print are inverses; what isn't an id is refused and nothing else is raised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.arm.errors import ArmError, BadRequest
from skerry.arm.ids import ResourceId, parse_id, split_path

segment = st.text(st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
pairs = st.lists(st.tuples(segment, segment), min_size=1, max_size=4)


@given(segment, segment, segment, pairs)
def test_an_id_prints_and_parses_back(
    subscription: str, group: str, namespace: str, path: list[tuple[str, str]]
) -> None:
    types, names = zip(*path, strict=True)
    resource = ResourceId(subscription, group, namespace, types, names)
    assert parse_id(str(resource)) == resource


@given(st.text())
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parse_id(text)
    except ArmError as error:
        assert error.code == "LinkedInvalidPropertyId"


def test_two_casings_of_an_id_have_one_key() -> None:
    one = parse_id("/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/virtualNetworks/V/subnets/A")
    other = parse_id("/SUBSCRIPTIONS/s/resourcegroups/g/Providers/microsoft.network/VirtualNetworks/v/Subnets/a")
    assert one.key == other.key
    assert one.name == "A"
    assert one.parent is not None
    assert one.parent.type == "Microsoft.Network/virtualNetworks"


def test_double_slashes_collapse() -> None:
    assert split_path("/a//b/") == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web",
        "/subscriptions/s",
        "/subscriptions/s/resourceGroups/g/providers/N",
        "/subscriptions/s/resourceGroups/g/providers/N/t",
        "/subscriptions/s/resourceGroups/g/other/N/t/n",
        "subscriptions/s/resourceGroups/g",
        "/subscriptions/s/resourceGroups/g/providers/N/t/n\0",
    ],
)
def test_what_is_no_id_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_id(text, "properties.subnet.id")
    assert caught.value.detail.target == "properties.subnet.id"
