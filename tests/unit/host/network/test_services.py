from skerry.host.network.services import BURST, PER_SECOND, Allowance


def test_an_allowance_runs_out_and_grows_again() -> None:
    allowance = Allowance(since=0)
    assert all(allowance.take(0) for _ in range(BURST))
    assert not allowance.take(0)
    assert sum(allowance.take(2) for _ in range(BURST)) == 2 * PER_SECOND


def test_an_allowance_never_exceeds_the_burst() -> None:
    allowance = Allowance(since=0)
    assert sum(allowance.take(10_000) for _ in range(BURST * 2)) == BURST
