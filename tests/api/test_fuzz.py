"""schemathesis sends requests that the document allows and forbids: no 5xx, no hang, no answer that isn't in it."""

import os

import pytest
from tests.api.client import Arm
from tests.api.fuzz import fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))  # per operation, with full coverage; `make fuzz-api` sets it
SECONDS = 30  # the slowest answer on a busy machine


@pytest.mark.timeout(7200 if EXAMPLES else 600)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_answer_is_one_that_the_document_forbids(arm: Arm) -> None:
    arm.group("other")
    arm.vm(arm.group())
    report = fuzz(arm, arm.token, examples=EXAMPLES or 8, coverage=bool(EXAMPLES))
    print(f"{report.seen.statuses.total()} requests, {dict(report.seen.statuses)}, slowest {report.seen.slowest}")
    assert report.errors == [], "\n\n".join(map(str, report.errors))
    assert report.failures == [], "\n\n".join(report.failures)
    assert [status for status in report.seen.statuses if status >= 500] == []
    assert report.seen.slowest[0] < SECONDS
    assert report.seen.statuses.total() > (10_000 if EXAMPLES else 500)
