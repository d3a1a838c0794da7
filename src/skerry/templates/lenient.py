"""JSON as az sends a deployment: strict JSON first, and where that fails the superset that ARM accepts.

`az deployment group create` puts the user's file verbatim into the request under an unquoted key, so comments,
trailing commas, single quotes and strings over several lines must be read. Two things that JSON leaves open are
refused here, since the values go on to places that cannot hold them: duplicate keys and numbers that are no finite
double or 64-bit integer.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from skerry.templates.errors import INVALID_CONTENT, TemplateError

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 100

# Nothing may fail behind the loop, so it never backtracks. Possessive groups are wrong in Python 3.11.2, Debian 12's.
_SKIP = re.compile(r"(?:[ \t\r\n]++|//[^\r\n]*+|/\*[^*]*\*+(?:[^/*][^*]*\*+)*/)*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f"
_PLAIN = {quote: re.compile(rf"[^{quote}\\{_CONTROL}]*+") for quote in "\"'"}
_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONSTANTS = {"true": True, "false": False, "null": None}


def loads(text: bytes) -> Any:
    """The value that `text` (UTF-8, at most 4 MiB, nested at most 100 deep) holds.

    Raises TemplateError(InvalidRequestContent) with the line and column of what cannot be read.
    """
    if len(text) > MAX_BYTES:
        raise _refusal(f"it is {len(text)} bytes long, and {MAX_BYTES} are allowed")
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(f"byte {error.start} is not UTF-8") from None
    try:
        return _strict(decoded)
    except (ValueError, RecursionError):
        return _Reader(decoded).document()


def _refusal(problem: str) -> TemplateError:
    message = f"The request content was invalid and could not be deserialized: '{problem}.'"
    return TemplateError(INVALID_CONTENT, message)


def _strict(text: str) -> Any:
    """Python's own parser; any ValueError sends the text to the reader below, which knows the position."""
    if "\\ud" in text or "\\uD" in text:
        raise ValueError("surrogates")
    value = json.loads(
        text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_integer, parse_float=_finite
    )
    if text.count("[") + text.count("{") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise ValueError("depth")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _integer(digits: str) -> int:
    value = int(digits) if len(digits) <= 20 else 2**63
    if not -(2**63) <= value < 2**63:
        raise ValueError("integer beyond 64 bits")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("number beyond a double")
    return value


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return True


def _children(node: Any) -> list[Any]:
    items = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [item for item in items if isinstance(item, dict | list)]


class _Reader:
    """A recursive descent over the lenient grammar; recursion is bounded by MAX_DEPTH."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def document(self) -> Any:
        value = self._value(0)
        if self._peek():
            self._fail(f"unexpected {self._shown()} after the end of the document")
        return value

    def _fail(self, problem: str, at: int | None = None) -> NoReturn:
        at = self._at if at is None else at
        line = self._text.count("\n", 0, at) + 1
        column = at - self._text.rfind("\n", 0, at)
        raise _refusal(f"{problem}, at line {line} and column {column}")

    def _peek(self) -> str:
        """The next significant character, or an empty string at the end."""
        match = _SKIP.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        if self._text.startswith("/*", self._at):
            self._fail("a comment is not closed")
        return self._text[self._at : self._at + 1]

    def _shown(self) -> str:
        character = self._text[self._at : self._at + 1]
        return repr(character) if character else "end of text"

    def _value(self, depth: int) -> Any:
        character = self._peek()
        if character in ("{", "["):
            if depth >= MAX_DEPTH:
                self._fail(f"values are nested more than {MAX_DEPTH} deep")
            return self._object(depth + 1) if character == "{" else self._array(depth + 1)
        if character in _PLAIN:
            return self._string(character)
        return self._number() if character and character in "-0123456789" else self._constant()

    def _object(self, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        self._at += 1
        while self._peek() != "}":
            start = self._at
            key = self._key()
            if key in result:
                self._fail(f"the key {key!r} is there twice", start)
            if self._peek() != ":":
                self._fail(f"expected ':' after a key, found {self._shown()}")
            self._at += 1
            result[key] = self._value(depth)
            self._separator("}")
        self._at += 1
        return result

    def _array(self, depth: int) -> list[Any]:
        result: list[Any] = []
        self._at += 1
        while self._peek() != "]":
            result.append(self._value(depth))
            self._separator("]")
        self._at += 1
        return result

    def _separator(self, closing: str) -> None:
        character = self._peek()
        if character == ",":
            self._at += 1
        elif character != closing:
            self._fail(f"expected ',' or '{closing}', found {self._shown()}")

    def _key(self) -> str:
        character = self._peek()
        if character in _PLAIN:
            return self._string(character)
        word = _WORD.match(self._text, self._at)
        if word is None:
            self._fail(f"expected a key, found {self._shown()}")
        self._at = word.end()
        return word.group()

    def _constant(self) -> Any:
        word = _WORD.match(self._text, self._at)
        if word is None or word.group() not in _CONSTANTS:
            self._fail(f"expected a value, found {self._shown()}")
        self._at = word.end()
        return _CONSTANTS[word.group()]

    def _number(self) -> int | float:
        match = _NUMBER.match(self._text, self._at)
        if match is None:
            self._fail(f"expected a number, found {self._shown()}")
        try:
            value = _finite(match.group()) if match.group(1) or match.group(2) else _integer(match.group())
        except ValueError as error:
            self._fail(str(error))
        self._at = match.end()
        return value

    def _string(self, quote: str) -> str:
        start = self._at
        self._at += 1
        parts: list[str] = []
        while True:
            plain = _PLAIN[quote].match(self._text, self._at)
            assert plain is not None
            parts.append(plain.group())
            self._at = plain.end()
            character = self._text[self._at : self._at + 1]
            if character == quote:
                self._at += 1
                return "".join(parts)
            if character != "\\":
                self._fail("a string is not closed" if not character else "a control character in a string", start)
            parts.append(self._escape())

    def _escape(self) -> str:
        letter = self._text[self._at + 1 : self._at + 2]
        if letter == "u":
            return self._unicode()
        if letter not in _ESCAPES:
            self._fail(f"the escape '\\{letter}' is not known")
        self._at += 2
        return _ESCAPES[letter]

    def _unicode(self) -> str:
        first = self._unit()
        if not 0xD800 <= first < 0xE000:
            return chr(first)
        start = self._at - 6
        second = self._unit() if self._text.startswith("\\u", self._at) else 0
        if first >= 0xDC00 or not 0xDC00 <= second < 0xE000:
            self._fail("a surrogate stands alone", start)
        return chr(0x10000 + (first - 0xD800) * 0x400 + second - 0xDC00)

    def _unit(self) -> int:
        digits = self._text[self._at + 2 : self._at + 6]
        if not re.fullmatch(r"[0-9A-Fa-f]{4}", digits):
            self._fail("expected four hexadecimal digits after '\\u'")
        self._at += 6
        return int(digits, 16)
