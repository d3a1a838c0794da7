"""The HTTP side of logging in: the cloud's metadata, discovery, tokens, device codes.

The ADFS form is the one that makes MSAL talk to nobody but us; the forms with a tenant in the path are the same
endpoints for clients that insist on Azure's.
"""

import base64
import binascii
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from skerry.identity import device, pages
from skerry.identity.grants import GrantError, Grants
from skerry.identity.identity import Identity
from skerry.identity.keys import ALGORITHM

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_FORM_BYTES_AT_MOST = 64 * 1024
# From this api-version on, the metadata are one cloud; before, a list of clouds.
_SINGLE_CLOUD_SINCE = "2022-09-01"
_Handler = Callable[[Request], Awaitable[Response]]


def routes(identity: Identity) -> list[Route]:
    """Every endpoint that answers without a token, except the API's own."""
    pages_and_tokens = _Endpoints(identity)
    found = [Route("/metadata/endpoints", pages_and_tokens.metadata, methods=["GET"])]
    for tenant in ("adfs", identity.tenant_id, "organizations", "common"):
        found += _tenant_routes(tenant, pages_and_tokens)
    return found


def _tenant_routes(tenant: str, endpoints: "_Endpoints") -> list[Route]:
    root = f"/{tenant}"
    documents: list[tuple[str, _Handler]] = [
        (f"{root}{version}/.well-known/openid-configuration", endpoints.openid) for version in ("", "/v2.0")
    ]
    documents += [(f"{root}/discovery{version}/keys", endpoints.key_set) for version in ("", "/v2.0")]
    forms: list[tuple[str, _Handler]] = []
    for version in ("", "/v2.0"):
        documents.append((f"{root}/oauth2{version}/authorize", endpoints.authorize))
        documents.append((f"{root}/oauth2{version}/deviceauth", endpoints.device_page))
        forms.append((f"{root}/oauth2{version}/deviceauth", endpoints.device_approve))
        forms.append((f"{root}/oauth2{version}/devicecode", endpoints.device_start))
        forms.append((f"{root}/oauth2{version}/token", endpoints.token))
    return [
        *(Route(path, handler, methods=["GET"]) for path, handler in documents),
        *(Route(path, handler, methods=["POST"]) for path, handler in forms),
    ]


class _Endpoints:
    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._grants = Grants(identity)

    async def metadata(self, request: Request) -> Response:
        version = request.query_params.get("api-version")
        if not version:
            error = {
                "code": "MissingApiVersionParameter",
                "message": "The api-version query parameter (?api-version=) is required for all requests.",
            }
            return JSONResponse({"error": error}, 400, headers=_NO_STORE)
        cloud = _cloud(self._identity)
        return _document(cloud if version >= _SINGLE_CLOUD_SINCE else [cloud])

    async def openid(self, _request: Request) -> Response:
        root = self._identity.authority
        return _document(
            {
                "issuer": root,
                "authorization_endpoint": f"{root}/oauth2/authorize",
                "token_endpoint": f"{root}/oauth2/token",
                "device_authorization_endpoint": f"{root}/oauth2/devicecode",
                "jwks_uri": f"{root}/discovery/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
                "grant_types_supported": [
                    "client_credentials",
                    "password",
                    "refresh_token",
                    "urn:ietf:params:oauth:grant-type:device_code",
                ],
                "response_types_supported": ["token"],
                "response_modes_supported": ["query"],
                "scopes_supported": ["openid", "profile", "offline_access"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
            }
        )

    async def key_set(self, _request: Request) -> Response:
        return _document({"keys": [self._identity.key.jwk()]})

    async def authorize(self, _request: Request) -> Response:
        text = "Logging in through the browser alone is not supported. Run: az login --use-device-code"
        return HTMLResponse(pages.message("Use a device code", text), 400, headers=pages.SECURITY_HEADERS)

    async def token(self, request: Request) -> Response:
        try:
            return JSONResponse(await self._grants.token(await _form(request)), headers=_NO_STORE)
        except GrantError as error:
            return _refusal(error)

    async def device_start(self, request: Request) -> Response:
        try:
            client_id = (await _form(request)).get("client_id", "")
        except GrantError as error:
            return _refusal(error)
        login = self._identity.devices.start(client_id)
        if login is None:
            return _refusal(GrantError("temporarily_unavailable", 50196, "Too many logins wait for their user."))
        page = f"{self._identity.authority}/oauth2/deviceauth"
        return JSONResponse(
            {
                "user_code": login.user_code,
                "device_code": login.device_code,
                "verification_uri": page,
                "verification_url": page,
                "verification_uri_complete": f"{page}?user_code={login.user_code}",
                "expires_in": device.LIFETIME_SECONDS,
                "interval": device.INTERVAL_SECONDS,
                "message": f"To sign in, open the page {page} in a browser and enter the code {login.user_code}.",
            },
            headers=_NO_STORE,
        )

    async def device_page(self, request: Request) -> Response:
        code = request.query_params.get("user_code", "")[:16]
        return _page(pages.device_form(code, self._identity.account.user_name))

    async def device_approve(self, request: Request) -> Response:
        form: dict[str, str] = {}
        try:
            form = await _form(request)
            await self._grants.check_password(form.get("username", ""), form.get("password", ""))
        except GrantError as error:
            return _page(pages.device_form(form.get("user_code", ""), form.get("username", ""), error.description), 400)
        if not self._identity.devices.approve(form.get("user_code", "")):
            await self._grants.throttle.failed()
            unknown = "No login waits with this code. Codes end after 15 minutes and are good once."
            return _page(pages.device_form("", form.get("username", ""), unknown), 400)
        return _page(pages.message("You are logged in", "Go back to your terminal. You can close this page."))


def _cloud(identity: Identity) -> dict[str, Any]:
    """What Azure says of a cloud, said of this one. az registers from it; Terraform starts from it."""
    base = identity.base_url
    return {
        "name": "Skerry",
        "portal": base,
        "gallery": base,
        "authentication": {
            "loginEndpoint": identity.authority,
            "audiences": [base],
            "tenant": "adfs",
            "identityProvider": "ADFS",
        },
        "resourceManager": base,
        "graph": base,
        "graphAudience": base,
        "microsoftGraphResourceId": base,
        "vmImageAliasDoc": f"{base}/images/aliases.json",
        "suffixes": {},
    }


async def _form(request: Request) -> dict[str, str]:
    """The form-encoded body, first value of each name; HTTP Basic's credentials count as a client's own."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _FORM_BYTES_AT_MOST:
            raise GrantError("invalid_request", 90023, "The request body is too large.")
    try:
        fields = parse_qs(body.decode(), max_num_fields=100)
    except ValueError as error:
        raise GrantError("invalid_request", 90023, "The request body is not form-encoded.") from error
    return {**_basic(request.headers.get("authorization", "")), **{name: values[0] for name, values in fields.items()}}


def _basic(header: str) -> dict[str, str]:
    """Client id and secret from HTTP Basic (RFC 6749 section 2.3.1: each form-encoded first)."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise GrantError("invalid_request", 90023, "The Authorization header is malformed.") from error
    return {"client_id": unquote_plus(name), "client_secret": unquote_plus(secret)}


def _refusal(error: GrantError) -> Response:
    body = {
        "error": error.error,
        "error_description": f"AADSTS{error.number}: {error.description}",
        "error_codes": [error.number],
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ"),
        "correlation_id": str(uuid.uuid4()),
    }
    return JSONResponse(body, 400, headers=_NO_STORE)


def _document(content: Any) -> Response:
    return JSONResponse(content, headers=_NO_STORE)


def _page(content: str, status: int = 200) -> Response:
    return HTMLResponse(content, status, headers=pages.SECURITY_HEADERS)
