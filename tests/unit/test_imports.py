"""Which package may import which: the architecture, held by a test. Late and type-only imports count as well."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
PACKAGE = SOURCE / "skerry"

# What each package may import of ours, besides itself.
ALLOWED: dict[str, set[str]] = {
    "hostspec": set(),
    "guest": set(),
    "templates": set(),
    "placement": {"hostspec"},
    "identity": set(),
    "host": {"hostspec"},
    "imagebuilder": {"host", "hostspec"},
}
# These know no resource type: the registry is handed to them.
TYPELESS = ("arm", "engine", "templates", "placement", "store")
# The command line speaks HTTP; these administer the machine itself.
LOCAL_COMMANDS = {
    "up.py": {"server", "host", "identity", "options"},
    "down.py": {"server", "host"},
    "env.py": {"host"},
    "backup.py": {"backup", "store"},
    "image.py": {"host", "hostspec", "imagebuilder"},
    "doctor.py": {"host"},
}
PROCESS_CALLS = {"run", "Popen", "call", "check_call", "check_output", "getoutput", "system", "popen"}


def _imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, with its full name."""
    package = path.relative_to(SOURCE).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _ours(path: Path) -> set[str]:
    """The top-level parts of skerry that a file imports; its version isn't one."""
    parts = [name.split(".") for name in _imports(path) if name.startswith("skerry.")]
    return {part[1] for part in parts} - {"__version__"}


def _files(package: str) -> list[Path]:
    return sorted((PACKAGE / package).rglob("*.py"))


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    found = {str(path): _ours(path) - ALLOWED[package] - {package} for path in _files(package)}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("package", TYPELESS)
def test_the_machinery_knows_no_resource_type(package: str) -> None:
    assert [str(path) for path in _files(package) if "resources" in _ours(path)] == []


def test_the_command_line_speaks_only_http() -> None:
    found = {str(path): _ours(path) - {"cli"} - LOCAL_COMMANDS.get(path.name, set()) for path in _files("cli")}
    assert {path: names for path, names in found.items() if names} == {}


def test_what_runs_in_a_guest_needs_only_the_standard_library() -> None:
    import sys

    names = {name.partition(".")[0] for path in _files("guest") for name in _imports(path)}
    assert names - set(sys.stdlib_module_names) == set()


def _starts_processes(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            owner, name = node.func.value.id, node.func.attr
            if owner in ("subprocess", "os") and name in PROCESS_CALLS:
                return True
    return False


def test_there_is_one_door_to_subprocesses() -> None:
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if _starts_processes(path)}
    assert found == {"host/run.py"}


def test_the_rules_see_every_kind_of_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SOURCE", tmp_path)
    path = tmp_path / "skerry" / "host" / "x.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import skerry.a\nfrom skerry.b import c\nfrom skerry import d\nfrom ..e import f\n"
        "def g():\n    from skerry.h.i import j\n"
    )
    assert _ours(path) == {"a", "b", "d", "e", "h"}
