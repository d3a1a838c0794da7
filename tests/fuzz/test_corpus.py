"""Every seed, and every input that once broke something, goes through its target in each run of the tests."""

from pathlib import Path

import pytest
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
INPUTS = sorted(path for path in CORPUS.rglob("*") if path.is_file())


def test_each_target_has_seeds_and_each_seed_a_target() -> None:
    assert {path.parent.name for path in INPUTS} == set(TARGETS)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_promise_is_kept(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xfe", b"[" * 4000, b"9" * 4400, b"'" * 255], ids=range(6))
def test_it_is_kept_for_what_is_nothing(name: str, data: bytes) -> None:
    TARGETS[name].run(data)
