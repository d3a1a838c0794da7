"""No route answers without a token that is good here: all of the document's are walked, and the open ones are named."""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.api.client import BASE, Arm

from skerry.arm.openapi import openapi
from skerry.identity import Identity
from skerry.identity import routes as identity_routes
from skerry.links import open_routes
from skerry.resources.registry import build_registry

# What answers without a token: logging in, health, the alias document, signed links, and what these paths mean.
OPEN = re.compile(
    r"/metadata/endpoints|/(adfs|[0-9a-f-]{36}|organizations|common)"
    r"(/v2\.0)?/(\.well-known/openid-configuration|discovery(/v2\.0)?/keys"
    r"|oauth2(/v2\.0)?/(authorize|deviceauth|devicecode|token))"
    r"|/openapi\.json|/metrics|/healthz|/images/aliases\.json|/skerry/serial/\{vm\}"
)
Claims = dict[str, Any]


def _walk(arm: Arm) -> Iterator[tuple[str, str]]:
    """Every method and path of the document."""
    for path, here in openapi(build_registry(), "test")["paths"].items():
        filled = re.sub(r"\{[^}]*\}", "web", path.replace("{subscriptionId}", arm.subscription))
        filled = filled.replace("resourceGroups/web", "resourceGroups/rg")
        yield from ((method.upper(), filled) for method in here if method != "parameters")
    yield from (("GET", path) for path in ("/", "/nonsense", "/subscriptions/other/resourcegroups"))


def _claims(identity: Identity, **changes: Any) -> Claims:
    good = jwt.decode(identity.tokens.access(identity.account.application(), BASE), options={"verify_signature": False})
    return {**good, **changes}


def _signed(identity: Identity, key: Any = None, **changes: Any) -> str:
    header = {"kid": identity.key.kid}
    return jwt.encode(_claims(identity, **changes), key or identity.key.private, algorithm="RS256", headers=header)


def _by_hand(identity: Identity, algorithm: str, secret: bytes | None) -> str:
    """A token that no library would sign."""
    header = {"alg": algorithm, "typ": "JWT", "kid": identity.key.kid}
    parts = b".".join(
        base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in (header, _claims(identity))
    )
    signature = hmac.new(secret, parts, hashlib.sha256).digest() if secret else b""
    return (parts + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def _bad_tokens(identity: Identity) -> dict[str, str | None]:
    now = int(time.time())
    public = identity.key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    principal = identity.account.application()
    return {
        "none at all": None,
        "garbage": "Bearer garbage",
        "another scheme": "Basic eDp5",
        "another key": f"Bearer {_signed(identity, rsa.generate_private_key(65537, 2048))}",
        "expired": f"Bearer {_signed(identity, exp=now - 3600)}",
        "not yet good": f"Bearer {_signed(identity, nbf=now + 2 * 86400)}",
        "another audience": f"Bearer {_signed(identity, aud='https://elsewhere')}",
        "another issuer": f"Bearer {_signed(identity, iss='https://elsewhere/adfs')}",
        "another tenant": f"Bearer {_signed(identity, tid='00000000-0000-0000-0000-000000000000')}",
        "alg none": f"Bearer {_by_hand(identity, 'none', None)}",
        "the public key as a secret": f"Bearer {_by_hand(identity, 'HS256', public)}",
        "an id token": f"Bearer {identity.tokens.identity(principal, 'client')}",
        "a refresh token": f"Bearer {identity.tokens.refresh(principal, 'mark')}",
    }


def _state(arm: Arm) -> Any:
    with arm.control.store.read() as work:
        rows = work.resources.list()
        return [(row.key, row.etag, row.operation) for row in rows]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_route_answers_without_a_good_token(arm: Arm, identity: Identity) -> None:
    arm.vm(arm.group())
    before, answered = _state(arm), []
    routes = list(_walk(arm))
    for why, token in _bad_tokens(identity).items():
        headers = {"Authorization": token} if token else {}
        for method, path in routes:
            response = arm.client.request(method, f"{path}?api-version=2025-04-01", headers=headers, json={})
            challenge = response.headers.get("www-authenticate", "")
            if response.status_code != 401 or not challenge.startswith("Bearer "):
                answered.append((why, method, path, response.status_code))
    assert answered == []
    assert len(routes) > 100
    assert _state(arm) == before


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_route_answers_for_another_subscription(arm: Arm) -> None:
    arm.vm(arm.group())
    before, answered = _state(arm), []
    other = "00000000-0000-0000-0000-000000000000"
    for method, path in _walk(arm):
        if arm.subscription in path:
            answer = arm.call(method, path.replace(arm.subscription, other), {} if method != "GET" else None)
            code = answer.code if method != "HEAD" and answer.body else "SubscriptionNotFound"
            if (answer.status, code) != (404, "SubscriptionNotFound"):
                answered.append((method, path, answer.status, code))
    assert answered == []
    assert _state(arm) == before


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_open_routes_are_these_and_no_others(arm: Arm, identity: Identity) -> None:
    secrets = arm.control.service.installation.secrets
    routes = [*arm.control.open_routes(), *identity_routes(identity), *open_routes(secrets, arm.control.service, dict)]
    assert [route.path for route in routes if not OPEN.fullmatch(route.path)] == []
