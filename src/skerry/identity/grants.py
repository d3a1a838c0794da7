"""The OAuth 2 grants of the token endpoint (RFC 6749, 8628), with the error numbers that Azure's clients know."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from skerry.identity.identity import Identity
from skerry.identity.principals import Principal
from skerry.identity.tokens import ACCESS_SECONDS

Form = Mapping[str, str]
Answer = dict[str, str | int]
_SCOPE_SUFFIXES = ("/.default", "/user_impersonation")
_FAILURE_SECONDS = 0.3
_FAILURES_WAITING = 20


@dataclass(eq=False)
class GrantError(Exception):
    """A grant is refused: `error` is OAuth's word, `number` Azure's (AADSTSnnn)."""

    error: str
    number: int
    description: str


@dataclass
class Throttle:
    """Makes guessing slow: wrong secrets are answered one after the other, each after a pause; right ones at once."""

    waiting: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def check(self) -> None:
        """Raise GrantError, before any secret is looked at, while too many wrong ones wait."""
        if self.waiting >= _FAILURES_WAITING:
            raise GrantError("temporarily_unavailable", 50196, "Too many failed logins. Try again in a few seconds.")

    async def failed(self) -> None:
        """Wait for one's turn to hear that the secret was wrong."""
        self.waiting += 1
        try:
            async with self.lock:
                await asyncio.sleep(_FAILURE_SECONDS)
        finally:
            self.waiting -= 1


class Grants:
    """Answers the token endpoint of one identity."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self.throttle = Throttle()

    async def token(self, form: Form) -> Answer:
        """The token endpoint's answer to `form`. Raises GrantError."""
        grant = _needed(form, "grant_type").rpartition(":")[2]
        if grant == "client_credentials":
            return await self._client_credentials(form)
        if grant == "password":
            return await self._password(form)
        if grant == "device_code":
            return self._device_code(form)
        if grant == "refresh_token":
            return self._refresh_token(form)
        raise GrantError(
            "unsupported_grant_type",
            70003,
            f"The grant type '{grant}' is not supported here. Log in with a service principal's secret, "
            "with a user's name and password, or with `az login --use-device-code`.",
        )

    async def check_password(self, name: str, password: str) -> None:
        """Raise GrantError unless these are the user's."""
        self.throttle.check()
        if not self._identity.account.password_matches(name, password):
            await self.throttle.failed()
            raise GrantError(
                "invalid_grant", 50126, "Error validating credentials due to invalid username or password."
            )

    async def _client_credentials(self, form: Form) -> Answer:
        audience = self._audience(form)
        client_id, secret = _needed(form, "client_id"), _needed(form, "client_secret")
        self.throttle.check()
        if not self._identity.account.secret_matches(client_id, secret):
            await self.throttle.failed()
            raise GrantError(
                "invalid_client",
                7000215,
                f"Invalid client secret provided for the application '{client_id[:64]}', or no such application in "
                "this tenant. `skerry env` logs in with the right one.",
            )
        return self._access(self._identity.account.application(), audience)

    async def _password(self, form: Form) -> Answer:
        audience, client_id = self._audience(form), _needed(form, "client_id")
        await self.check_password(_needed(form, "username"), _needed(form, "password"))
        return self._user_answer(client_id, audience)

    def _device_code(self, form: Form) -> Answer:
        audience, client_id = self._audience(form), _needed(form, "client_id")
        code = form.get("device_code") or _needed(form, "code")
        login = self._identity.devices.redeem(code, client_id)
        if login is None:
            raise GrantError("expired_token", 70020, "The code has expired or was used already. Log in again.")
        if not login.approved:
            raise GrantError("authorization_pending", 70016, "The user hasn't entered the code yet. Keep polling.")
        return self._user_answer(client_id, audience)

    def _refresh_token(self, form: Form) -> Answer:
        audience, client_id = self._audience(form), _needed(form, "client_id")
        token, mark = _needed(form, "refresh_token"), self._identity.account.password_mark()
        if not self._identity.tokens.refreshes(token, mark):
            raise GrantError("invalid_grant", 70008, "The refresh token has expired or was revoked. Log in again.")
        return self._user_answer(client_id, audience)

    def _user_answer(self, client_id: str, audience: str) -> Answer:
        user, tokens = self._identity.account.user(client_id), self._identity.tokens
        return {
            **self._access(user, audience),
            "scope": f"{audience}/.default",
            "id_token": tokens.identity(user, client_id),
            "refresh_token": tokens.refresh(user, self._identity.account.password_mark()),
        }

    def _access(self, principal: Principal, audience: str) -> Answer:
        return {
            "token_type": "Bearer",
            "expires_in": ACCESS_SECONDS,
            "ext_expires_in": ACCESS_SECONDS,
            "resource": audience,
            "access_token": self._identity.tokens.access(principal, audience),
        }

    def _audience(self, form: Form) -> str:
        """The resource that is asked for: v1's `resource`, or the scope that isn't one of OpenID's own."""
        asked = form.get("resource") or next((s for s in form.get("scope", "").split() if "://" in s), "")
        for suffix in _SCOPE_SUFFIXES:
            asked = asked.removesuffix(suffix)
        if not asked:
            return self._identity.base_url
        if asked.lower() not in self._identity.tokens.audiences:
            raise GrantError(
                "invalid_resource",
                500011,
                f"The resource principal named {asked[:200]} was not found in the tenant. This Skerry gives tokens "
                f"for {self._identity.base_url} only.",
            )
        return asked.lower()


def _needed(form: Form, name: str) -> str:
    value = form.get(name)
    if not value:
        raise GrantError("invalid_request", 900144, f"The request body must contain the following parameter: '{name}'.")
    return value
