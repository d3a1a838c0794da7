"""Sealed values come back only with the key; signed links hold for their path and time only."""

import pytest
from cryptography.fernet import InvalidToken

from skerry.arm.errors import ArmError
from skerry.arm.secrets import Secrets


def test_what_is_sealed_opens_again_and_shows_nothing() -> None:
    secrets = Secrets(bytes(32))
    sealed = secrets.seal({"adminPassword": "S3cret!"})
    assert "S3cret!" not in sealed
    assert secrets.open(sealed) == {"adminPassword": "S3cret!"}
    with pytest.raises(InvalidToken):
        Secrets(b"x" * 32).open(sealed)


def _parts(link: str) -> tuple[str, str]:
    query = dict(pair.split("=") for pair in link.partition("?")[2].split("&"))
    return query["se"], query["sig"]


def test_a_signed_link_holds_for_its_path_and_time() -> None:
    secrets = Secrets(bytes(32))
    end, signature = _parts(secrets.sign("/a", 60))
    secrets.check("/a", end, signature)
    for path, when, sig in [("/b", end, signature), ("/a", str(int(end) + 1), signature), ("/a", "²", signature)]:
        with pytest.raises(ArmError, match="signature"):
            secrets.check(path, when, sig)
    with pytest.raises(ArmError, match="time is over"):
        secrets.check("/a", *_parts(secrets.sign("/a", -1)))
