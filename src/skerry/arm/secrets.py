"""Keeping what must survive a restart but never be shown: sealing, and signed links."""

import base64
import hashlib
import hmac
import re
import time
from typing import Any
from urllib.parse import urlencode

import orjson
from cryptography.fernet import Fernet

from skerry.arm.errors import ArmError

_TIME = re.compile(r"[0-9]{1,11}", re.ASCII)


class Forbidden(ArmError):
    """A link isn't one of ours, or has ended."""

    status = 403


class Secrets:
    """Seals values for the store and signs links, with one key of 32 bytes that never leaves the state folder."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(_derive(key, b"seal")))
        self._link_key = _derive(key, b"link")
        self._print_key = _derive(key, b"fingerprint")

    def seal(self, value: Any) -> str:
        """A JSON value as text that only this installation can read."""
        return self._fernet.encrypt(orjson.dumps(value)).decode()

    def open(self, sealed: str) -> Any:
        """What was sealed."""
        return orjson.loads(self._fernet.decrypt(sealed.encode()))

    def fingerprint(self, text: str) -> str:
        """What tells a secret from another one later, without keeping it; of no use without the key."""
        return hmac.new(self._print_key, text.encode(), hashlib.sha256).hexdigest()

    def sign(self, path: str, seconds: int) -> str:
        """The path with a signature that is good for `seconds`."""
        end = int(time.time()) + seconds
        return f"{path}?{urlencode({'se': end, 'sig': self._signature(path, end)})}"

    def check(self, path: str, end: str, signature: str) -> None:
        """Raises Forbidden unless the path was signed and its time isn't over."""
        good = _TIME.fullmatch(end) and hmac.compare_digest(
            self._signature(path, int(end)).encode(), signature.encode()
        )
        if not good or int(end) < time.time():
            raise Forbidden(
                "AuthenticationFailed", "The link's signature is wrong or its time is over: ask for a new link."
            )

    def _signature(self, path: str, end: int) -> str:
        return hmac.new(self._link_key, f"{path}\n{end}".encode(), hashlib.sha256).hexdigest()


def _derive(key: bytes, purpose: bytes) -> bytes:
    return hmac.new(key, purpose, hashlib.sha256).digest()
