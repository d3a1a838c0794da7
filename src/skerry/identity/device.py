"""Device codes (RFC 8628): a terminal shows a short code, the user enters it in a browser with their password.

pending ──approve()──▶ approved ──redeem()──▶ gone        Both end after 15 minutes, or when Skerry restarts.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

LIFETIME_SECONDS = 900
INTERVAL_SECONDS = 2
_PENDING_AT_MOST = 200
# No vowels (words), nothing that looks like something else: RFC 8628 section 6.1.
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"


@dataclass
class DeviceLogin:
    """One login on its way. `user_code` is what the user types; `device_code` is the terminal's secret."""

    user_code: str
    device_code: str
    client_id: str
    ends: float
    approved: bool = False


class DeviceLogins:
    """All logins on their way, in memory: losing them costs a user one more try."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logins: dict[str, DeviceLogin] = {}

    def start(self, client_id: str) -> DeviceLogin | None:
        """A new login; None while too many others wait."""
        self._forget_ended()
        if len(self._logins) >= _PENDING_AT_MOST:
            return None
        letters = "".join(secrets.choice(_LETTERS) for _ in range(8))
        code = f"{letters[:4]}-{letters[4:]}"
        login = DeviceLogin(code, secrets.token_urlsafe(32), client_id, self._clock() + LIFETIME_SECONDS)
        self._logins[login.device_code] = login
        return login

    def approve(self, user_code: str) -> bool:
        """The user has shown who they are. False when no login waits with this code; case and dash don't matter."""
        self._forget_ended()
        wanted = _plain(user_code)
        for login in self._logins.values():
            if _plain(login.user_code) == wanted and not login.approved:
                login.approved = True
                return True
        return False

    def redeem(self, device_code: str, client_id: str) -> DeviceLogin | None:
        """The login as it stands; an approved one is given once. None when there is none (or no longer)."""
        self._forget_ended()
        login = self._logins.get(device_code)
        if login is None or login.client_id != client_id:
            return None
        if login.approved:
            del self._logins[device_code]
        return login

    def _forget_ended(self) -> None:
        now = self._clock()
        for code in [code for code, login in self._logins.items() if login.ends <= now]:
            del self._logins[code]


def _plain(code: str) -> str:
    return "".join(letter for letter in code.upper() if letter.isalnum())
