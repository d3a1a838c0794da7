"""The key that signs tokens: RSA, 2048 bits, under STATE/keys, made at the first start.

RS256, because a signature is checked on every request and RSA checks three times as fast as P-256 signatures do.
"""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from skerry.identity import files
from skerry.identity.errors import BrokenState

ALGORITHM = "RS256"
_BITS = 2048


@dataclass(frozen=True)
class SigningKey:
    """The private key and `kid`, the name under which the key set lists its public half."""

    private: rsa.RSAPrivateKey
    kid: str

    @property
    def public(self) -> rsa.RSAPublicKey:
        """The half that checks signatures."""
        return self.private.public_key()

    def jwk(self) -> dict[str, str]:
        """The public key as a JSON Web Key (RFC 7517)."""
        numbers = self.public.public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": ALGORITHM,
            "kid": self.kid,
            "n": _base64url(numbers.n),
            "e": _base64url(numbers.e),
        }


def load(state: Path) -> SigningKey:
    """The signing key of `state`, made when there is none. Raises BrokenState when the file is damaged."""
    path = state / "keys" / "signing.pem"
    content = files.read(path)
    if content is None:
        content = _make()
        files.write(path, content)
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except ValueError as error:
        raise BrokenState(f"{path} is damaged ({error}). Remove it for a new key: everyone logs in again.") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _BITS:
        raise BrokenState(f"{path} is no RSA key of {_BITS} bits or more. Remove it for a new key.")
    return SigningKey(key, _thumbprint(key.public_key()))


def _make() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _thumbprint(key: rsa.RSAPublicKey) -> str:
    """The key's own name, so that it stays the same over restarts (RFC 7638)."""
    numbers = key.public_numbers()
    canonical = f'{{"e":"{_base64url(numbers.e)}","kty":"RSA","n":"{_base64url(numbers.n)}"}}'
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()


def _base64url(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).rstrip(b"=").decode()
