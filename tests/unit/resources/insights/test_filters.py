"""The activity log's $filter: what az and the SDKs send is read, all else is refused."""

import pytest

from skerry.arm.errors import ArmError
from skerry.resources.insights.activity_log.filters import parse

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
START = "eventTimestamp ge 2027-01-15T07:00:00Z"


def test_times_with_and_without_quotes_and_zone() -> None:
    asked = "eventTimestamp ge '2027-01-14T04:36:37.6407898Z' and eventTimestamp le 2027-01-15T07:30:00"
    window = parse(asked, "s", NOW).window
    assert (round(window.since, 3), window.until) == (NOW - 98602.359, NOW - 1800)


def test_without_an_end_there_is_none() -> None:
    assert parse(START, "s", NOW).window.until is None


def test_terms_in_any_case() -> None:
    asked = f"{START} AND RESOURCEGROUPNAME eq 'My' and Caller Eq 'Me' and correlationId eq 'c''d'"
    wanted = parse(asked, "s", NOW)
    assert wanted.window.group == "/subscriptions/s/resourcegroups/my"
    assert (wanted.window.caller, wanted.window.correlation) == ("me", "c'd")


@pytest.mark.parametrize("name", ["resourceId", "resourceUri"])
def test_a_resource_by_both_names(name: str) -> None:
    found = parse(f"{START} and {name} eq '/subscriptions/S/resourceGroups/G/providers/N/t/x'", "s", NOW)
    assert found.window.resource == "/subscriptions/s/resourcegroups/g/providers/n/t/x"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "resourceGroupName eq 'rg'",
        "eventTimestamp ge yesterday",
        "eventTimestamp ge '2026-10-01T00:00:00Z'",
        "eventTimestamp ge '2027-01-16T00:00:00Z'",
        "eventTimestamp eq '2027-01-15T00:00:00Z'",
        f"{START} or caller eq 'me'",
        f"{START} caller eq 'me'",
        f"{START} and color eq 'red'",
        f"{START} and caller ge 'me'",
        f"{START} and caller eq 'me' and caller eq 'you'",
        f"{START} and caller eq 'me",
        f"{START} and resourceId eq 'x'",
    ],
)
def test_what_cannot_be_read_is_refused(text: str | None) -> None:
    with pytest.raises(ArmError):
        parse(text, "s", NOW)
