"""crypt(5)'s `$6$`, which cloud-init hands to the guest as it is.

Python's crypt module is gone in 3.13. Source, with its step numbers: https://www.akkadia.org/drepper/SHA-crypt.txt.
"""

import hashlib

ROUNDS = 5000
ITOA64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SIZE = 64


def sha512_crypt(password: bytes, salt: str) -> str:
    """`$6$salt$hash` with the default of 5000 rounds. `salt`: up to 16 characters of ITOA64."""
    salted = salt.encode()
    digest = _start(password, salted)
    p = _stretch(hashlib.sha512(password * len(password)).digest(), len(password))  # steps 13-16
    s = _stretch(hashlib.sha512(salted * (16 + digest[0])).digest(), len(salted))  # steps 17-20
    for i in range(ROUNDS):  # step 21
        first, last = (p, digest) if i % 2 else (digest, p)
        digest = hashlib.sha512(first + (s if i % 3 else b"") + (p if i % 7 else b"") + last).digest()
    return f"$6${salt}${_encode(digest)}"


def _start(password: bytes, salt: bytes) -> bytes:
    """Steps 1 to 12."""
    b = hashlib.sha512(password + salt + password).digest()
    a = hashlib.sha512(password + salt + _stretch(b, len(password)))
    length = len(password)
    while length:
        a.update(b if length & 1 else password)
        length >>= 1
    return a.digest()


def _stretch(digest: bytes, length: int) -> bytes:
    """The digest repeated up to a length."""
    return (digest * (length // _SIZE + 1))[:length]


def _encode(digest: bytes) -> str:
    """Step 22: three bytes become four characters, in an order of its own; the last byte becomes two."""
    text, (a, b, c) = "", (0, 21, 42)
    for _ in range(21):
        text += _characters(digest[a] << 16 | digest[b] << 8 | digest[c], 4)
        a, b, c = b + 1, c + 1, a + 1
    return text + _characters(digest[63], 2)


def _characters(value: int, count: int) -> str:
    return "".join(ITOA64[value >> 6 * i & 63] for i in range(count))
