"""SSH public keys."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from skerry.arm.errors import BadRequest
from skerry.resources.compute.keys import validate_public_key


def openssh(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


# The same in every run: it is part of the names of tests.
ED25519 = openssh(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def test_white_space_around_a_key_is_dropped_and_its_comment_kept() -> None:
    assert validate_public_key(f"  {ED25519} me@here\n") == f"{ED25519} me@here"


def test_an_rsa_key_needs_2048_bits() -> None:
    good = openssh(rsa.generate_private_key(65537, 2048))
    assert validate_public_key(good) == good
    with pytest.raises(BadRequest, match="2048 to 16384 bits, not 1024"):
        validate_public_key(openssh(rsa.generate_private_key(65537, 1024)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-rsa",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 !!!!",
        ED25519[: len(ED25519) // 2],
        ED25519.replace("ssh-ed25519", "ssh-rsa", 1),
        f'command="id" {ED25519}',
        f"{ED25519}\n{ED25519}",
        f"{ED25519} a\x00b",
        openssh(ec.derive_private_key(2**200 + 1, ec.SECP256R1())),
        "-----BEGIN PUBLIC KEY-----",
    ],
)
def test_what_is_no_single_rsa_or_ed25519_key_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        validate_public_key(text, "publicKey")
    assert (refusal.value.code, refusal.value.detail.target) == ("InvalidParameter", "publicKey")
