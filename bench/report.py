"""Writing figures into docs/performance.md, each benchmark's between two markers of its own."""

import re
from pathlib import Path

from bench.options import ROOT

PAGE = ROOT / "docs" / "performance.md"


def write(name: str, text: str, page: Path = PAGE) -> None:
    """Replace what is between the markers of benchmark `name`. Raises ValueError when the page has none."""
    begin, end = f"<!-- bench {name} -->", f"<!-- end {name} -->"
    between = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    old = page.read_text()
    new, count = between.subn(lambda found: f"{found[1]}{text}\n{found[2]}", old)
    if count != 1:
        raise ValueError(f"{page} has {count} places between {begin} and {end}, instead of one")
    page.write_text(new)
