from skerry.host.network.services import BURST, PER_SECOND, REPORTS, REPORTS_PER_SECOND, Allowance


def test_an_allowance_runs_out_and_grows_again() -> None:
    allowance = Allowance(since=0)
    assert all(allowance.take(0) for _ in range(BURST))
    assert not allowance.take(0)
    assert sum(allowance.take(2) for _ in range(BURST)) == 2 * PER_SECOND


def test_an_allowance_never_exceeds_the_burst() -> None:
    allowance = Allowance(since=0)
    assert sum(allowance.take(10_000) for _ in range(BURST * 2)) == BURST


def test_health_reports_have_a_smaller_one() -> None:
    reports = Allowance(REPORTS, REPORTS_PER_SECOND, since=0)
    assert sum(reports.take(0) for _ in range(BURST)) == REPORTS
    assert sum(reports.take(60) for _ in range(BURST)) == 6
