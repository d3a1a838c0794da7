"""The two names that ARM derives from text: `uniqueString` and `guid`.

Both give Azure's own values. `uniqueString` hashes with a MurmurHash3-like 64-bit function of two 32-bit lanes;
Microsoft publishes it in the MIT-licensed Azure.Deployments.Expression package, and the Terraform azapi provider
holds another implementation. `guid` is a version 5 UUID (RFC 4122).
"""

from __future__ import annotations

import uuid

_GUID_NAMESPACE = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_MASK = 0xFFFFFFFF
_C1, _C2 = 0x239B961B, 0xAB0E9789
_MIX1, _MIX2 = 0x561CCD1B, 0x0BCAA747
_FINAL1, _FINAL2 = 0x85EBCA6B, 0xC2B2AE35


def arm_guid(name: str) -> str:
    return str(uuid.uuid5(_GUID_NAMESPACE, name))


def unique_text(text: str) -> str:
    """13 characters of base 32, from the hash's highest bits down; the last one holds four bits."""
    value = _hash64(text.encode()) << 1
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(60, -1, -5))


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> (32 - by)) & _MASK


def _scrambled(value: int, first: int, by: int, second: int) -> int:
    return _rotated(value * first & _MASK, by) * second & _MASK


def _final(value: int) -> int:
    value = (value ^ value >> 16) * _FINAL1 & _MASK
    value = (value ^ value >> 13) * _FINAL2 & _MASK
    return value ^ value >> 16


def _hash64(data: bytes) -> int:
    one, two = 0, 0
    whole = len(data) - len(data) % 8
    for at in range(0, whole, 8):
        low, high = int.from_bytes(data[at : at + 4], "little"), int.from_bytes(data[at + 4 : at + 8], "little")
        one = _rotated(one ^ _scrambled(low, _C1, 15, _C2), 19) + two & _MASK
        one = one * 5 + _MIX1 & _MASK
        two = _rotated(two ^ _scrambled(high, _C2, 17, _C1), 13) + one & _MASK
        two = two * 5 + _MIX2 & _MASK
    tail = data[whole:]
    one ^= _scrambled(int.from_bytes(tail[:4], "little"), _C1, 15, _C2)
    two ^= _scrambled(int.from_bytes(tail[4:], "little"), _C2, 17, _C1)
    return _finished(one ^ len(data) & _MASK, two ^ len(data) & _MASK)


def _finished(one: int, two: int) -> int:
    one = one + two & _MASK
    two = two + one & _MASK
    one, two = _final(one), _final(two)
    one = one + two & _MASK
    two = two + one & _MASK
    return two << 32 | one
