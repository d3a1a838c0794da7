"""Generated key pairs."""

from typing import Literal

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from skerry.resources.compute.keys import validate_public_key
from skerry.resources.compute.ssh_public_key import generate


@pytest.mark.parametrize(
    "kind, header", [("RSA", "-----BEGIN RSA PRIVATE KEY-----"), ("Ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----")]
)
def test_the_halves_of_a_pair_belong_together(kind: Literal["RSA", "Ed25519"], header: str) -> None:
    private, public = generate(kind)
    assert private.startswith(header)
    load = load_pem_private_key if kind == "RSA" else load_ssh_private_key
    key = load(private.encode(), None)
    assert isinstance(key, RSAPrivateKey | Ed25519PrivateKey)
    mine = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert validate_public_key(public) == f"{mine} generated-by-skerry"
