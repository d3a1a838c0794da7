"""Tokens: ours are accepted, every other is refused with ARM's code."""

import base64
import json
import time
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import jwt
import pytest

from skerry.identity import ExpiredToken, Identity, InvalidToken, MissingToken

BASE = "https://localhost:8443"


_LATER = time.time() + 30 * 86400


class _LaterClock(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "_LaterClock":
        return cls.fromtimestamp(_LATER, tz)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity.load(tmp_path_factory.mktemp("state"), BASE)


def _claims(identity: Identity, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {
        "iss": f"{BASE}/adfs",
        "aud": BASE,
        "iat": now,
        "nbf": now,
        "exp": now + 600,
        "oid": "o",
        "tid": identity.tenant_id,
        "appid": "a",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def _header(identity: Identity, **changes: Any) -> str:
    return "Bearer " + jwt.encode(_claims(identity, **changes), identity.key.private, "RS256")


@pytest.mark.parametrize(
    "audience",
    [BASE, f"{BASE}/", "https://127.0.0.1:8443", "https://[::1]:8443/", "https://management.azure.com/"],
)
def test_a_token_for_any_name_of_the_api_is_good(identity: Identity, audience: str) -> None:
    application = identity.account.application()
    for _ in range(2):
        assert identity.verify(f"Bearer {identity.tokens.access(application, audience)}") == application


def test_a_users_token_names_the_user_and_the_client(identity: Identity) -> None:
    user = identity.account.user("client-program")
    assert identity.verify(f"bearer {identity.tokens.access(user, BASE)}") == user
    assert (user.kind, user.name, user.app_id) == ("User", "admin@skerry.local", "client-program")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "token"])
def test_no_bearer_token(identity: Identity, header: str | None) -> None:
    with pytest.raises(MissingToken, match="Authorization") as refused:
        identity.verify(header)
    assert refused.value.code == "AuthenticationFailed"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://sts.windows.net/other"},
        {"aud": "https://vault.azure.net"},
        {"aud": f"{BASE}/adfs/refresh"},
        {"tid": "another"},
        {"nbf": int(time.time()) + 2 * 86400},
        {"nbf": "soon"},
        {"exp": None},
        {"oid": None},
        {"appid": None},
        {"exp": "soon"},
    ],
)
def test_a_token_with_wrong_claims_is_invalid(identity: Identity, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken) as refused:
        identity.verify(_header(identity, **changes))
    assert refused.value.code == "InvalidAuthenticationToken"


def test_an_ended_token_is_told_apart(identity: Identity) -> None:
    with pytest.raises(ExpiredToken, match="was good until") as refused:
        identity.verify(_header(identity, exp=int(time.time()) - 120))
    assert refused.value.code == "ExpiredAuthenticationToken"
    assert identity.verify(_header(identity, exp=int(time.time()) - 30)).object_id == "o"


def test_a_token_from_before_the_clock_was_set_back_is_good(identity: Identity) -> None:
    soon = int(time.time()) + 7200
    assert identity.verify(_header(identity, iat=soon, nbf=soon, exp=soon + 600)).object_id == "o"


def test_a_remembered_token_ends_too(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    header = _header(identity)
    identity.verify(header)
    monkeypatch.setattr(time, "time", lambda: _LATER)
    monkeypatch.setattr(jwt.api_jwt, "datetime", _LaterClock)
    with pytest.raises(ExpiredToken):
        identity.verify(header)


def test_forged_tokens_are_invalid(identity: Identity, tmp_path: Path) -> None:
    other = Identity.load(tmp_path, BASE)
    claims = _claims(identity)
    public = identity.key.jwk()["n"].encode()
    unsigned = _part({"alg": "none", "typ": "JWT"}) + "." + _part(claims) + "."
    good = jwt.encode(claims, identity.key.private, "RS256")
    forged = [
        jwt.encode(claims, other.key.private, "RS256"),
        jwt.encode(claims, public, "HS256"),
        unsigned,
        good[:-6] + "AAAAAA",
        "a.b.c",
        "x" * 10000,
    ]
    for token in forged:
        with pytest.raises(InvalidToken):
            identity.verify(f"Bearer {token}")


def test_an_id_token_opens_nothing(identity: Identity) -> None:
    token = identity.tokens.identity(identity.account.user("client-program"), "client-program")
    with pytest.raises(InvalidToken):
        identity.verify(f"Bearer {token}")


def test_a_refresh_token_is_tied_to_its_mark(identity: Identity) -> None:
    token = identity.tokens.refresh(identity.account.user("c"), "mark")
    assert identity.tokens.refreshes(token, "mark")
    assert not identity.tokens.refreshes(token, "other")
    assert not identity.tokens.refreshes(identity.tokens.access(identity.account.user("c"), BASE), "mark")


def test_tokens_outlive_a_restart_and_nothing_else(tmp_path: Path) -> None:
    first = Identity.load(tmp_path, BASE)
    token = first.tokens.access(first.account.application(), BASE)
    second = Identity.load(tmp_path, BASE)
    assert second.account == first.account
    assert second.verify(f"Bearer {token}") == first.account.application()
    with pytest.raises(InvalidToken):
        Identity.load(tmp_path, "https://localhost:9999").verify(f"Bearer {token}")


def test_the_challenge_names_where_to_log_in(identity: Identity) -> None:
    assert MissingToken("No token.").challenge(identity.authority) == (
        f'Bearer authorization_uri="{BASE}/adfs", error="invalid_token", error_description="No token."'
    )


def _part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
