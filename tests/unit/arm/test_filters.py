"""$filter: what az sends is understood, anything else is refused."""

import pytest

from skerry.arm.errors import BadRequest
from skerry.arm.filters import matches, parse_filter
from skerry.store import ResourceRow


def row(**changes: object) -> ResourceRow:
    values: dict[str, object] = {
        "key": "k",
        "id": "K",
        "type": "microsoft.network/virtualnetworks",
        "group_key": "/subscriptions/s/resourcegroups/rg",
        "name": "Net",
        "location": "East US",
        "body": b'{"tags":{"Env":"prod"}}',
    }
    return ResourceRow(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("resourceType eq 'Microsoft.Network/virtualNetworks'", True),
        ("resourcetype eq 'Microsoft.Compute/disks'", False),
        ("resourceGroup eq 'RG' and name eq 'net'", True),
        ("location eq 'eastus'", True),
        ("tagName eq 'env' and tagValue eq 'prod'", True),
        ("tagName eq 'env' and tagValue eq 'PROD'", False),
        ("tagName eq 'other'", False),
        ("", True),
    ],
)
def test_terms(text: str, found: bool) -> None:
    assert matches(row(), parse_filter(text)) is found


@pytest.mark.parametrize("text", ["name ne 'x'", "name eq 'x' or name eq 'y'", "name eq 'x", "name eq 'x' name eq 'y'"])
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_filter(text)
    assert caught.value.code == "InvalidFilterInQueryString"


def test_a_quote_is_doubled() -> None:
    assert parse_filter("name eq 'it''s'") == {"name": "it's"}
