"""Who may use this Skerry: its TLS, its account, its tokens and the ADFS-style login that az and the SDKs speak."""

from skerry.identity.endpoints import routes
from skerry.identity.errors import (
    BrokenState,
    ExpiredToken,
    IdentityError,
    InvalidToken,
    MissingToken,
    TokenError,
)
from skerry.identity.identity import Identity
from skerry.identity.principals import Account, Principal
from skerry.identity.tls import TlsFiles, ensure_tls

__all__ = [
    "Account",
    "BrokenState",
    "ExpiredToken",
    "Identity",
    "IdentityError",
    "InvalidToken",
    "MissingToken",
    "Principal",
    "TlsFiles",
    "TokenError",
    "ensure_tls",
    "routes",
]
