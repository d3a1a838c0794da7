"""Rotation: three old files at most, nothing lost between them."""

from pathlib import Path

from skerry.cli import logfile


def test_rotation_keeps_three(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for number in range(5):
        log.write_text(str(number))
        logfile.rotate(log)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"log.1": "4", "log.2": "3", "log.3": "2"}


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert logfile.tail(log) == ""
    log.write_text("a\nb\nc\n")
    assert logfile.tail(log, 2) == "b\nc"
