"""The grammar of template expressions: text ↔ syntax tree.

A string is an expression when it starts with `[` and ends with `]`; `[[` at the start escapes it (Azure docs,
"Syntax and expressions in ARM templates"). Inside: calls, quoted strings with `''` for a quote, integers, and
`.property` and `[index]` behind a call. Offsets count from the opening bracket.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from skerry.templates.errors import Fault

MAX_LENGTH = 24_576  # ARM's limit for one expression
MAX_DEPTH = 50

_TOKEN = re.compile(
    r"""[ \t\r\n]*+(?:
      (?P<string>'[^']*+(?:''[^']*+)*'(?!'))
    | (?P<integer>[+-]?[0-9]++)
    | (?P<name>[A-Za-z_$][A-Za-z0-9_$]*+)
    | (?P<mark>[()\[\],.])
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | int
    offset: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return str(self.value) if isinstance(self.value, int) else "'" + self.value.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class Call:
    """`name(arguments)`; `name` is as written, with its namespace for a user's function (`contoso.unique`)."""

    name: str
    arguments: tuple[Node, ...]
    offset: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True, slots=True)
class Property:
    name: str
    offset: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True, slots=True)
class Index:
    key: Node
    offset: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"[{self.key}]"


@dataclass(frozen=True, slots=True)
class Access:
    """`base` and one or more steps into its value. Flat, so that a long chain needs no recursion."""

    base: Call
    steps: tuple[Property | Index, ...]

    def __str__(self) -> str:
        return str(self.base) + "".join(map(str, self.steps))


Node = Literal | Call | Access


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    offset: int


def is_expression(text: str) -> bool:
    return text.startswith("[") and text.endswith("]") and not text.startswith("[[")


def unescape(text: str) -> str:
    """What a string that is no expression stands for."""
    return text[1:] if text.startswith("[[") and text.endswith("]") else text


def escape(text: str) -> str:
    """The string that stands for `text` in a template: the inverse of `unescape`."""
    return "[" + text if text.startswith("[") and text.endswith("]") else text


@lru_cache(maxsize=2048)
def parse(text: str) -> Node:
    """The tree of `[…]`. Raises Fault with the offset at which it stops making sense."""
    if len(text) > MAX_LENGTH:
        raise Fault(f"The expression is {len(text)} characters long, and {MAX_LENGTH} are allowed.", 0)
    return _Parser(list(_tokens(text))).whole()


def calls(node: Node) -> Iterator[Call]:
    """Every call in the tree, outermost first."""
    pending: list[Node] = [node]
    while pending:
        here = pending.pop()
        if isinstance(here, Access):
            pending += [step.key for step in reversed(here.steps) if isinstance(step, Index)]
            here = here.base
        if isinstance(here, Call):
            yield here
            pending += reversed(here.arguments)


def _tokens(text: str) -> Iterator[_Token]:
    at, end = 1, len(text) - 1
    while text[at:end].strip(" \t\r\n"):
        match = _TOKEN.match(text, at, end)
        if match is None:
            raise _unreadable(text, at)
        kind = str(match.lastgroup)
        yield _Token(kind, match.group(kind), match.start(kind))
        at = match.end()
    yield _Token("end", "", end)


def _unreadable(text: str, at: int) -> Fault:
    while text[at] in " \t\r\n":
        at += 1
    if text[at] == "'":
        return Fault("The string literal is not closed.", at)
    return Fault(f"The character '{text[at]}' is not expected.", at)


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def whole(self) -> Node:
        node = self._expression(0)
        self._take("end")
        return node

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *wanted: str) -> _Token:
        """The next token, whose kind or mark is one of `wanted`."""
        token = self._next
        if token.kind not in wanted and (token.kind != "mark" or token.text not in wanted):
            names = " or ".join("the end of the expression" if name == "end" else f"'{name}'" for name in wanted)
            found = f"'{token.text}'" if token.text else "the end of the expression"
            raise Fault(f"Unable to parse language expression: expected {names}, found {found}.", token.offset)
        self._at += 1
        return token

    def _expression(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise Fault(f"The expression is nested more than {MAX_DEPTH} deep.", self._next.offset)
        token = self._take("name", "string", "integer")
        if token.kind == "string":
            return Literal(token.text[1:-1].replace("''", "'"), token.offset)
        if token.kind == "integer":
            return _integer(token)
        return self._reached(self._call(token, depth), depth)

    def _call(self, first: _Token, depth: int) -> Call:
        name = first.text
        while self._next.text == "." and self._next.kind == "mark":
            self._take(".")
            name += "." + self._take("name").text
        self._take("(")
        return Call(name, tuple(self._arguments(depth)), first.offset)

    def _arguments(self, depth: int) -> Iterator[Node]:
        if self._next.kind == "mark" and self._next.text == ")":
            self._take(")")
            return
        while True:
            yield self._expression(depth + 1)
            if self._take(",", ")").text == ")":
                return

    def _reached(self, base: Call, depth: int) -> Node:
        steps: list[Property | Index] = []
        while self._next.kind == "mark" and self._next.text in (".", "["):
            mark = self._take(".", "[")
            if mark.text == ".":
                steps.append(Property(self._take("name").text, mark.offset))
            else:
                steps.append(Index(self._expression(depth + 1), mark.offset))
                self._take("]")
        return Access(base, tuple(steps)) if steps else base


def _integer(token: _Token) -> Literal:
    value = int(token.text) if len(token.text) <= 20 else 2**63
    if not -(2**63) <= value < 2**63:
        raise Fault("The integer does not fit into 64 bits.", token.offset)
    return Literal(value, token.offset)
