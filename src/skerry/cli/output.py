"""Printing answers: JSON for programs, a table for people. Neither lets a guest or tenant steer the terminal."""

import json
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skerry.cli.errors import CliError

Row = dict[str, Any]


@dataclass(frozen=True)
class Output:
    """How an answer is shown: `form` is json or table, `query` a JMESPath expression or None."""

    form: str = "table"
    query: str | None = None

    def show(self, data: Any, rows: Sequence[Row]) -> None:
        """Print `data` as JSON, or `rows` as a table; a query is applied to `data`."""
        if self.query is not None:
            data = _search(self.query, data)
            rows = _rows(data)
        if self.form == "json":
            print(_escaped(json.dumps(data, indent=2, ensure_ascii=False)))
        elif rows:
            print(table(rows))


def _escaped(text: str) -> str:
    """JSON that is the same value, with whatever could steer a terminal as \\u escapes; lines are kept."""
    return "".join(c if c == "\n" or not _steers(c) else json.dumps(c)[1:-1] for c in text)


def printable(text: str) -> str:
    """`text` without control characters, so that no escape sequence reaches the terminal; lines are kept."""
    return "".join(c if c in "\n\t" or not _steers(c) else "�" for c in text)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def table(rows: Sequence[Row]) -> str:
    """Rows with the keys of the first as columns, each as wide as its widest cell."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    titles = [_cell(name) for name in names]
    widths = [max(len(line[i]) for line in [titles, *cells]) for i in range(len(names))]
    lines = [titles, ["-" * width for width in widths], *cells]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def on_terminal() -> bool:
    """Whether standard error is a terminal that lines can be redrawn on."""
    return sys.stderr.isatty()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(text).replace("\n", " ").replace("\t", " ")


def _search(query: str, data: Any) -> Any:
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.search(query, data)
    except JMESPathError as error:
        raise CliError(f"--query can't be read: {error}. See https://jmespath.org for its language.") from error


def _rows(data: Any) -> list[Row]:
    items = data if isinstance(data, list) else [] if data is None else [data]
    return [item if isinstance(item, dict) else {"Result": item} for item in items]
