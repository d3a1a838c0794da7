"""Access, id and refresh tokens: JWTs signed with this Skerry's key (RFC 7519), checked on every request."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import jwt

from skerry.identity.errors import ExpiredToken, InvalidToken, MissingToken
from skerry.identity.keys import ALGORITHM, SigningKey
from skerry.identity.principals import Principal

ACCESS_SECONDS = 3600
REFRESH_SECONDS = 90 * 86400
LEEWAY_SECONDS = 60
EARLY_SECONDS = 86400
"""A token may be so long from the future: all are our own, so it is from before the clock was set back."""
_REQUIRED = ["iss", "aud", "exp", "nbf", "oid", "tid", "appid"]
_REMEMBERED = 1000


class Tokens:
    """Issues and verifies the tokens of one tenant.

    `audiences`: what a token may be asked for; other resources have no meaning here.
    """

    def __init__(self, key: SigningKey, issuer: str, tenant_id: str, audiences: Sequence[str]) -> None:
        self._key, self._public = key, key.public
        self._issuer, self._tenant_id = issuer, tenant_id
        self.audiences = tuple(audiences)
        self._verified: dict[str, tuple[Principal, float]] = {}

    def access(self, principal: Principal, audience: str) -> str:
        """A token that opens the ARM API for an hour."""
        return self._sign(principal, audience, ACCESS_SECONDS, ver="1.0")

    def identity(self, principal: Principal, client_id: str) -> str:
        """An id token: tells the client program who logged in; opens nothing."""
        return self._sign(principal, client_id, ACCESS_SECONDS, name=principal.name, ver="1.0")

    def refresh(self, principal: Principal, mark: str) -> str:
        """A token to get new access tokens with, for as long as `mark` stays what it is."""
        return self._sign(principal, self._refresh_audience, REFRESH_SECONDS, mark=mark)

    def refreshes(self, token: str, mark: str) -> bool:
        """Whether `token` is a refresh token of ours that was made with this `mark`."""
        try:
            return bool(self._decode(token, [self._refresh_audience]).get("mark") == mark)
        except jwt.InvalidTokenError:
            return False

    def verify(self, header: str | None) -> Principal:
        """Who sends a request with this Authorization header.

        Raises MissingToken, InvalidToken or ExpiredToken, each with ARM's code and a message for the user.
        """
        token = _bearer(header)
        known = self._verified.get(token)
        if known is not None and time.time() < known[1]:
            return known[0]
        return self._verify(token)

    @property
    def _refresh_audience(self) -> str:
        return f"{self._issuer}/refresh"

    def _verify(self, token: str) -> Principal:
        try:
            claims = self._decode(token, self.audiences)
        except jwt.ExpiredSignatureError as error:
            raise ExpiredToken(_expired(token)) from error
        except jwt.InvalidAudienceError as error:
            raise InvalidToken(
                "The access token has been obtained for the wrong audience. It should be one of: "
                + ", ".join(self.audiences)
                + "."
            ) from error
        except jwt.InvalidTokenError as error:
            raise InvalidToken("The access token is invalid.") from error
        if claims["tid"] != self._tenant_id:
            raise InvalidToken("The access token is from another tenant.")
        principal = _principal(claims)
        self._remember(token, principal, float(claims["exp"]))
        return principal

    def _decode(self, token: str, audiences: Sequence[str]) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            self._public,
            algorithms=[ALGORITHM],
            audience=audiences,
            issuer=self._issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": _REQUIRED, "verify_nbf": False, "verify_iat": False},
        )
        begins = claims["nbf"]
        if not isinstance(begins, int) or begins > time.time() + EARLY_SECONDS:
            raise jwt.ImmatureSignatureError("The token is not yet valid (nbf)")
        return claims

    def _remember(self, token: str, principal: Principal, expires: float) -> None:
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[token] = (principal, expires)

    def _sign(self, principal: Principal, audience: str, seconds: int, **more: str) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": principal.tenant_id,
            "appid": principal.app_id,
            "idtyp": "user" if principal.kind == "User" else "app",
            **({"upn": principal.name} if principal.kind == "User" else {}),
            **more,
        }
        return jwt.encode(claims, self._key.private, algorithm=ALGORITHM, headers={"kid": self._key.kid})


def _bearer(header: str | None) -> str:
    if not header:
        raise MissingToken("Authentication failed. The 'Authorization' header is missing.")
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise MissingToken("Authentication failed. The 'Authorization' header is provided in an invalid format.")
    return token.strip()


def _principal(claims: Mapping[str, Any]) -> Principal:
    user = claims.get("upn")
    if user is None:
        return Principal("ServicePrincipal", claims["oid"], claims["tid"], claims["appid"], claims["appid"])
    return Principal("User", claims["oid"], claims["tid"], user, claims["appid"])


def _expired(token: str) -> str:
    # The signature was good, else another error would have come first: the claim can be shown.
    claims = jwt.decode(token, options={"verify_signature": False})
    ended = datetime.fromtimestamp(int(claims["exp"]), UTC).isoformat(timespec="seconds")
    return f"The access token has expired: it was good until {ended}. Get a new one."
