"""What can go wrong with identities.

IdentityError          `str()` says what, what was kept and what to do
├── BrokenState        a file under STATE/keys or STATE/tls can't be used; nothing was changed
└── TokenError         a request isn't authenticated; has ARM's `code`; the answer is always 401
    ├── MissingToken   no Authorization header, or not a Bearer one
    ├── InvalidToken   not a token of ours: signature, issuer, audience, tenant, form
    └── ExpiredToken   it was one of ours; the client gets a new one
"""


class IdentityError(Exception):
    """An identity could not be loaded or checked."""


class BrokenState(IdentityError):
    """A file of the state folder is unreadable or damaged; the message names it and says how to mend it."""


class TokenError(IdentityError):
    """The request's token doesn't authenticate it. `code` and `str()` are what ARM shows."""

    code = "AuthenticationFailed"

    def challenge(self, authority: str) -> str:
        """The value of the `WWW-Authenticate` header that goes with the 401 (RFC 6750 section 3)."""
        return f'Bearer authorization_uri="{authority}", error="invalid_token", error_description="{self}"'


class MissingToken(TokenError):
    """There is no Bearer token."""

    code = "AuthenticationFailed"


class InvalidToken(TokenError):
    """The token isn't one that this Skerry signed for this use."""

    code = "InvalidAuthenticationToken"


class ExpiredToken(TokenError):
    """The token has ended."""

    code = "ExpiredAuthenticationToken"
