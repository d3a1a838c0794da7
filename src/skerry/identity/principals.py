"""The account: one tenant, one subscription, one service principal and one user, made at the first start.

Their ids and secrets are in STATE/keys/account.json, readable by its owner only; `skerry env` reads it there.
"""

import hashlib
import hmac
import json
import secrets
import uuid
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from skerry.identity import files
from skerry.identity.errors import BrokenState

USER_NAME = "admin@skerry.local"


@dataclass(frozen=True)
class Principal:
    """Who sends a request. `name` is the user's name (upn) or the application's id."""

    kind: Literal["ServicePrincipal", "User"]
    object_id: str
    tenant_id: str
    name: str
    app_id: str


@dataclass(frozen=True)
class Account:
    """All ids are lower-case UUIDs."""

    tenant_id: str
    subscription_id: str
    app_id: str
    app_object_id: str
    app_secret: str
    user_name: str
    user_object_id: str
    user_password: str

    def application(self) -> Principal:
        """The service principal."""
        return Principal("ServicePrincipal", self.app_object_id, self.tenant_id, self.app_id, self.app_id)

    def user(self, client_id: str) -> Principal:
        """The user, who logged in with the client program `client_id`."""
        return Principal("User", self.user_object_id, self.tenant_id, self.user_name, client_id)

    def secret_matches(self, app_id: str, secret: str) -> bool:
        """Whether these are the service principal's; takes the same time for every wrong secret."""
        return bool(_same(app_id.lower(), self.app_id) & _same(secret, self.app_secret))

    def password_matches(self, name: str, password: str) -> bool:
        """Whether these are the user's; takes the same time for every wrong password."""
        return bool(_same(name.lower(), self.user_name) & _same(password, self.user_password))

    def password_mark(self) -> str:
        """Changes with the user's password and says nothing about it: ties refresh tokens to it."""
        return hmac.new(self.user_password.encode(), b"skerry refresh token", hashlib.sha256).hexdigest()[:16]


def load(state: Path) -> Account:
    """The account of `state`, made when there is none. Raises BrokenState when the file is damaged."""
    path = state / "keys" / "account.json"
    content = files.read(path)
    if content is None:
        account = _make()
        files.write(path, json.dumps(asdict(account), indent=2).encode() + b"\n")
        return account
    try:
        stored = json.loads(content)
        return Account(**{field.name: str(stored[field.name]) for field in fields(Account)})
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenState(
            f"{path} is damaged ({error!r}). Bring it back from a copy, or remove it for a new account: "
            "existing resources stay in the old subscription."
        ) from error


def _make() -> Account:
    return Account(
        tenant_id=str(uuid.uuid4()),
        subscription_id=str(uuid.uuid4()),
        app_id=str(uuid.uuid4()),
        app_object_id=str(uuid.uuid4()),
        app_secret=_secret(),
        user_name=USER_NAME,
        user_object_id=str(uuid.uuid4()),
        user_password=_secret(),
    )


def _secret() -> str:
    # No leading dash: az and ssh would take it for an option.
    while (secret := secrets.token_urlsafe(30)).startswith("-"):
        pass
    return secret


def _same(given: str, wanted: str) -> int:
    # Digests first: compare_digest returns early on another length.
    return int(hmac.compare_digest(hashlib.sha256(given.encode()).digest(), hashlib.sha256(wanted.encode()).digest()))
