"""api-versions: any from 2015 on; missing and malformed ones are refused as ARM does."""

import pytest

from skerry.arm.errors import BadRequest
from skerry.arm.registry import check_api_version


@pytest.mark.parametrize("version", ["2015-01-01", "2026-04-01", "2019-03-01-preview", "2025-05-31-PREVIEW"])
def test_versions_from_2015_on_are_taken(version: str) -> None:
    assert check_api_version(version) == version


@pytest.mark.parametrize(
    ("version", "code"),
    [
        (None, "MissingApiVersionParameter"),
        ("", "MissingApiVersionParameter"),
        ("2014-04-01", "InvalidApiVersionParameter"),
        ("2020-13-01", "InvalidApiVersionParameter"),
        ("latest", "InvalidApiVersionParameter"),
        ("2020-01-01;", "InvalidApiVersionParameter"),
    ],
)
def test_others_are_refused(version: str | None, code: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_api_version(version)
    assert caught.value.code == code
