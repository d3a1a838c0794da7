"""$filter: what az sends becomes a search, anything else is refused."""

from dataclasses import replace

import pytest

from skerry.arm.errors import BadRequest
from skerry.arm.filters import OF_GROUPS, parse_filter, search
from skerry.store import Search

NET, DISK = "microsoft.network/virtualnetworks", "microsoft.compute/disks"
GROUPS = "/subscriptions/s/resourcegroups/"
ALL = Search((NET, DISK), group_start=len(GROUPS) + 1)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, ALL),
        ("", ALL),
        ("resourceType eq 'Microsoft.Network/virtualNetworks'", replace(ALL, types=(NET,))),
        ("resourcetype eq 'Microsoft.Sql/servers'", replace(ALL, types=())),
        ("resourceGroup eq 'RG' and name eq 'Net'", replace(ALL, groups=(f"{GROUPS}rg",), name="net")),
        ("location eq 'East US'", replace(ALL, location="eastus")),
        ("tagname eq 'Env' and tagvalue eq 'Prod'", replace(ALL, tag="env", tag_value="Prod")),
        ("startswith(tagname, 'En')", replace(ALL, tag_start="en")),
        ("substringof('Web', name)", replace(ALL, name_part="web")),
        ("substringof('W', resourceGroup) AND name eq 'it''s'", replace(ALL, group_part="w", name="it's")),
    ],
)
def test_terms_make_a_search(text: str | None, wanted: Search) -> None:
    assert search((NET, DISK), None, GROUPS, parse_filter(text)) == wanted


def test_a_groups_own_list_stays_in_the_group() -> None:
    inside = search((NET,), f"{GROUPS}a", GROUPS, parse_filter("resourceGroup eq 'A'"))
    assert inside.possible
    assert not search((NET,), f"{GROUPS}a", GROUPS, parse_filter("resourceGroup eq 'b'")).possible


@pytest.mark.parametrize(
    "text",
    [
        "name ne 'x'",
        "name eq 'x' or name eq 'y'",
        "name eq 'x",
        "name eq 'x' name eq 'y'",
        "name eq 'x' and",
        "name eq 'x' and name eq 'y'",
        "tagValue eq 'x'",
        "substringof('x', location)",
        "startswith(name, 'x')",
        "'virtualMachineScaleSet/id' eq '/x'",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_filter(text)
    assert caught.value.code == "InvalidFilterInQueryString"


def test_groups_have_no_resource_type() -> None:
    assert parse_filter("tagName eq 'a'", OF_GROUPS) == {"tagname": "a"}
    with pytest.raises(BadRequest):
        parse_filter("resourceType eq 'x'", OF_GROUPS)
