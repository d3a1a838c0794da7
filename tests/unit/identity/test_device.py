"""Device codes: good once, for the program that asked, for fifteen minutes."""

from skerry.identity.device import LIFETIME_SECONDS, DeviceLogins


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_code_is_good_once_and_for_its_client() -> None:
    logins = DeviceLogins()
    login = logins.start("cli")
    assert login is not None
    waiting = logins.redeem(login.device_code, "cli")
    assert waiting is not None
    assert not waiting.approved
    assert logins.approve(login.user_code.lower().replace("-", " "))
    assert not logins.approve(login.user_code)
    assert logins.redeem(login.device_code, "another") is None
    done = logins.redeem(login.device_code, "cli")
    assert done is not None
    assert done.approved
    assert logins.redeem(login.device_code, "cli") is None


def test_a_code_ends() -> None:
    clock = Clock()
    logins = DeviceLogins(clock)
    login = logins.start("cli")
    assert login is not None
    clock.now = LIFETIME_SECONDS
    assert not logins.approve(login.user_code)
    assert logins.redeem(login.device_code, "cli") is None


def test_waiting_logins_are_limited_until_they_end() -> None:
    clock = Clock()
    logins = DeviceLogins(clock)
    started = [logins.start("cli") for _ in range(201)]
    assert [login is None for login in started] == [False] * 200 + [True]
    clock.now = LIFETIME_SECONDS
    assert logins.start("cli") is not None
