""".NET's composite formatting, in the invariant culture, as far as templates use it.

Supported for numbers: the standard formats D, X, N, F and G, and custom patterns of `0`, `#`, one point and a comma
for groups. Any other pattern is refused. As in .NET, strings and booleans ignore their format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from skerry.templates.errors import Fault
from skerry.templates.values import MAX_TEXT, text_of, within_text

_PIECE = re.compile(r"(\{\{|\}\})|\{([0-9]{1,6})\s*(?:,\s*(-?[0-9]{1,9})\s*)?(?::([^{}]*))?\}|([^{}]+)")
_STANDARD = re.compile(r"([DdXxNnFfGg])([0-9]{0,2})")
_CUSTOM = re.compile(r"([0#,]*)(?:\.([0#]*))?")


def composite(pattern: str, arguments: Sequence[Any]) -> str:
    """`pattern` with `{index[,alignment][:format]}` replaced. Raises Fault for what .NET, or this module, refuses."""
    parts: list[str] = []
    length = 0
    for part in _pieces(pattern, arguments):
        length += len(part)
        within_text(length)
        parts.append(part)
    return "".join(parts)


def _pieces(pattern: str, arguments: Sequence[Any]) -> Iterator[str]:
    at = 0
    while at < len(pattern):
        match = _PIECE.match(pattern, at)
        if match is None:
            raise Fault(f"the format string has a stray brace or a malformed item at its character {at}.")
        at = match.end()
        brace, index, alignment, spec, plain = match.groups()
        if index is None:
            yield brace[0] if brace else plain
            continue
        if int(index) >= len(arguments):
            raise Fault(f"the format string asks for argument {index}, and {len(arguments)} are given.")
        yield _aligned(formatted(arguments[int(index)], spec or ""), int(alignment or 0))


def _aligned(text: str, width: int) -> str:
    if abs(width) > MAX_TEXT:
        within_text(abs(width))
    return text.rjust(width) if width >= 0 else text.ljust(-width)


def formatted(value: Any, spec: str) -> str:
    """One value by one format."""
    if not spec or isinstance(value, bool) or not isinstance(value, int | float):
        return text_of(value)
    standard = _STANDARD.fullmatch(spec)
    if standard:
        return _standard(value, standard.group(1), standard.group(2))
    custom = _CUSTOM.fullmatch(spec)
    if custom and len(spec) <= 64:
        return _custom(value, custom.group(1), custom.group(2) or "")
    raise Fault(f"the number format '{spec[:40]}' is not supported.")


def _standard(value: int | float, letter: str, digits: str) -> str:
    kind, precision = letter.upper(), int(digits or 0)
    if kind == "G":
        return text_of(value)
    if kind in "NF":
        return _fixed(value, int(digits) if digits else 2, grouped=kind == "N")
    if isinstance(value, float):
        raise Fault(f"the number format '{letter}' takes an integer.")
    if kind == "D":
        return ("-" if value < 0 else "") + str(abs(value)).zfill(precision)
    text = f"{value & 0xFFFFFFFF if -(2**31) <= value < 0 else value & 0xFFFFFFFFFFFFFFFF:X}".zfill(precision)
    return text if letter == "X" else text.lower()


def _custom(value: int | float, whole: str, fraction: str) -> str:
    text = _fixed(abs(value), len(fraction), grouped="," in whole)
    digits, _, decimals = text.partition(".")
    needed = fraction.rfind("0") + 1
    decimals = decimals[:needed] + decimals[needed:].rstrip("0")
    digits = digits.lstrip("0,").rjust(whole.count("0"), "0") if whole.count("0") != 1 else digits
    negative = value < 0 and any(digit not in "0,." for digit in text)
    return ("-" if negative else "") + digits + ("." + decimals if decimals else "")


def _fixed(value: int | float, decimals: int, *, grouped: bool) -> str:
    """Rounded half away from zero. A double of 308 digits still has its exact places."""
    with localcontext() as context:
        context.prec = 500
        rounded = Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    return f"{rounded:{',' if grouped else ''}f}"
