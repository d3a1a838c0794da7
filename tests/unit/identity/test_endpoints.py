"""The login endpoints as MSAL, az and Terraform call them."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from skerry.identity import Identity, grants, routes

BASE = "https://localhost:8443"
SCOPE = f"{BASE}//.default openid profile offline_access"


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity.load(tmp_path_factory.mktemp("state"), BASE)


@pytest.fixture
def client(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(grants, "_FAILURE_SECONDS", 0)
    with TestClient(Starlette(routes=[*routes(identity)]), base_url=BASE) as client:
        yield client


def _secret_form(identity: Identity, **changes: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": identity.account.app_id,
        "client_secret": identity.account.app_secret,
        "scope": f"{BASE}/.default",
        **changes,
    }


def _password_form(identity: Identity, **changes: str) -> dict[str, str]:
    return {
        "grant_type": "password",
        "client_id": "cli",
        "username": identity.account.user_name,
        "password": identity.account.user_password,
        "scope": SCOPE,
        **changes,
    }


def _refusal(client: TestClient, form: dict[str, str]) -> tuple[str, int]:
    answer = client.post("/adfs/oauth2/token", data=form)
    assert answer.status_code == 400
    body = answer.json()
    assert body["error_description"].startswith(f"AADSTS{body['error_codes'][0]}: ")
    return body["error"], body["error_codes"][0]


def test_metadata_are_one_cloud_or_a_list_by_version(client: TestClient) -> None:
    one = client.get("/metadata/endpoints?api-version=2022-09-01")
    many = client.get("/metadata/endpoints?api-version=2019-05-01").json()
    assert many == [one.json()]
    assert one.headers["cache-control"] == "no-store"
    cloud = one.json()
    assert cloud["authentication"]["loginEndpoint"] == f"{BASE}/adfs"
    assert cloud["vmImageAliasDoc"] == f"{BASE}/images/aliases.json"
    assert cloud["suffixes"] == {}


def test_metadata_need_a_version(client: TestClient) -> None:
    answer = client.get("/metadata/endpoints")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "MissingApiVersionParameter")


@pytest.mark.parametrize("tenant", ["adfs", "TENANT", "organizations"])
@pytest.mark.parametrize("version", ["", "/v2.0"])
def test_discovery_in_every_form_leads_to_the_same(
    client: TestClient, identity: Identity, tenant: str, version: str
) -> None:
    tenant = tenant.replace("TENANT", identity.tenant_id)
    found = client.get(f"/{tenant}{version}/.well-known/openid-configuration").json()
    assert found["issuer"] == f"{BASE}/adfs"
    for endpoint in ("token_endpoint", "device_authorization_endpoint"):
        assert client.post(found[endpoint], data={}).status_code in (200, 400)
    assert client.get(found["jwks_uri"]).json()["keys"][0]["kid"] == identity.key.kid


def test_another_tenant_is_not_here(client: TestClient) -> None:
    assert client.get("/00000000-0000-0000-0000-000000000000/.well-known/openid-configuration").status_code == 404


def test_a_service_principal_gets_a_token_that_the_key_set_verifies(client: TestClient, identity: Identity) -> None:
    answer = client.post("/adfs/oauth2/token", data=_secret_form(identity))
    assert answer.headers["cache-control"] == "no-store"
    token = answer.json()["access_token"]
    assert identity.verify(f"Bearer {token}") == identity.account.application()
    key = jwt.PyJWKSet.from_dict(client.get("/adfs/discovery/keys").json())[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=BASE)
    assert (claims["tid"], claims["idtyp"]) == (identity.tenant_id, "app")
    assert "refresh_token" not in answer.json()


def test_http_basic_and_v1s_resource_do_as_well(client: TestClient, identity: Identity) -> None:
    answer = client.post(
        f"/{identity.tenant_id}/oauth2/token",
        data={"grant_type": "client_credentials", "resource": "https://management.azure.com/"},
        auth=(identity.account.app_id, identity.account.app_secret),
    )
    assert answer.json()["resource"] == "https://management.azure.com/"
    identity.verify(f"Bearer {answer.json()['access_token']}")


def test_a_user_gets_access_id_and_refresh_tokens(client: TestClient, identity: Identity) -> None:
    body = client.post("/adfs/oauth2/token", data=_password_form(identity)).json()
    claims = jwt.decode(body["id_token"], identity.key.public, algorithms=["RS256"], audience="cli")
    assert (claims["upn"], claims["tid"]) == ("admin@skerry.local", identity.tenant_id)
    form = {"grant_type": "refresh_token", "client_id": "cli", "refresh_token": body["refresh_token"], "scope": SCOPE}
    renewed = client.post("/adfs/oauth2/token", data=form).json()
    assert identity.verify(f"Bearer {renewed['access_token']}").name == "admin@skerry.local"


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"client_secret": "wrong"}, ("invalid_client", 7000215)),
        ({"client_id": "someone"}, ("invalid_client", 7000215)),
        ({"client_secret": ""}, ("invalid_request", 900144)),
        ({"grant_type": ""}, ("invalid_request", 900144)),
        ({"grant_type": "authorization_code"}, ("unsupported_grant_type", 70003)),
        ({"scope": "https://vault.azure.net/.default"}, ("invalid_resource", 500011)),
    ],
)
def test_a_service_principals_refusals(
    client: TestClient, identity: Identity, changes: dict[str, str], refusal: tuple[str, int]
) -> None:
    assert _refusal(client, _secret_form(identity, **changes)) == refusal


@pytest.mark.parametrize("changes", [{"password": "wrong"}, {"username": "root"}])
def test_a_wrong_password_is_refused(client: TestClient, identity: Identity, changes: dict[str, str]) -> None:
    assert _refusal(client, _password_form(identity, **changes)) == ("invalid_grant", 50126)


def test_an_access_token_refreshes_nothing(client: TestClient, identity: Identity) -> None:
    token = client.post("/adfs/oauth2/token", data=_password_form(identity)).json()["access_token"]
    form = {"grant_type": "refresh_token", "client_id": "cli", "refresh_token": token}
    assert _refusal(client, form) == ("invalid_grant", 70008)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=" + b"x" * 70000, b"&".join(b"a=1" for _ in range(200))])
def test_a_body_that_is_no_small_form_is_refused(client: TestClient, body: bytes) -> None:
    answer = client.post("/adfs/oauth2/token", content=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def _device_form(login: dict[str, Any]) -> dict[str, str]:
    return {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": "cli",
        "device_code": login["device_code"],
        "scope": SCOPE,
    }


def test_a_device_code_waits_for_the_users_password(client: TestClient, identity: Identity) -> None:
    login = client.post("/adfs/oauth2/devicecode", data={"client_id": "cli", "scope": SCOPE}).json()
    assert login["user_code"] in login["message"]
    assert _refusal(client, _device_form(login)) == ("authorization_pending", 70016)
    page = client.get(login["verification_uri_complete"])
    assert f'value="{login["user_code"]}"' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]

    entered = {"user_code": login["user_code"], "username": identity.account.user_name, "password": "wrong"}
    refused = client.post("/adfs/oauth2/deviceauth", data=entered)
    assert (refused.status_code, 'role="alert"' in refused.text) == (400, True)
    assert _refusal(client, _device_form(login)) == ("authorization_pending", 70016)

    entered["password"] = identity.account.user_password
    assert "You are logged in" in client.post("/adfs/oauth2/deviceauth", data=entered).text
    answer = client.post("/adfs/oauth2/token", data=_device_form(login)).json()
    assert identity.verify(f"Bearer {answer['access_token']}").kind == "User"
    assert _refusal(client, _device_form(login)) == ("expired_token", 70020)


def test_an_unknown_code_is_refused_even_with_the_password(client: TestClient, identity: Identity) -> None:
    entered = {
        "user_code": "BBBB-BBBB",
        "username": identity.account.user_name,
        "password": identity.account.user_password,
    }
    assert client.post("/adfs/oauth2/deviceauth", data=entered).status_code == 400


def test_the_page_shows_what_was_typed_as_text(client: TestClient) -> None:
    page = client.post("/adfs/oauth2/deviceauth", data={"user_code": '"><script>', "username": "<b>"}).text
    assert re.search(r"<(script|b)>", page) is None
    assert "&lt;script&gt;" in page


def test_a_browser_is_told_what_works_instead(client: TestClient) -> None:
    answer = client.get("/adfs/oauth2/authorize?response_type=code")
    assert answer.status_code == 400
    assert "az login --use-device-code" in answer.text


def test_many_wrong_secrets_are_turned_away_unseen() -> None:
    async def try_once(throttle: grants.Throttle) -> bool:
        try:
            throttle.check()
        except grants.GrantError:
            return False
        await throttle.failed()
        return True

    async def try_all() -> list[bool]:
        throttle = grants.Throttle()
        await throttle.lock.acquire()
        tries = [asyncio.create_task(try_once(throttle)) for _ in range(25)]
        await asyncio.sleep(0)
        throttle.lock.release()
        for task in tries[:20]:
            task.cancel()
        return [task.result() for task in tries[20:]]

    assert asyncio.run(try_all()) == [False] * 5
