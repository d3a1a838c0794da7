"""Formatting, linters, types and the limits on size are tests like any other."""

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [folder for folder in ("src", "tests", "bench") if list((ROOT / folder).rglob("*.py"))]
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
FUNCTION_LINES = 80
FILE_LINES = 500
MEDIAN_LINES = 10


@pytest.mark.parametrize(
    "words",
    [["ruff", "format", "--check", *FOLDERS], ["ruff", "check", *FOLDERS], ["mypy", *FOLDERS]],
    ids=["format", "lint", "types"],
)
def test_it_is_clean(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function's name and its lines from `def` to its end; a migration is a list of tables, however long."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "migrations" not in path.parts:
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_function_is_long() -> None:
    found = [f"{p.relative_to(ROOT)}:{name} has {n}" for p in FILES for name, n in _functions(p) if n > FUNCTION_LINES]
    assert found == []


def test_functions_are_short_as_a_rule() -> None:
    lengths = [lines for path in (ROOT / "src").rglob("*.py") for _, lines in _functions(path)]
    assert statistics.median(lengths) <= MEDIAN_LINES


def test_no_file_is_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES} == {}


def test_every_module_says_what_it_is_for() -> None:
    sources = [path for path in (ROOT / "src").rglob("*.py") if path.read_text().strip()]
    assert [str(path) for path in sources if not ast.get_docstring(ast.parse(path.read_text()))] == []
