import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from skerry.host.network.daemons import Daemon, arguments, find


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with arguments that nobody else has."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", str(tmp_path)]) as process:
        while arguments(process.pid)[-1:] != [str(tmp_path)]:
            pass
        yield process
        process.kill()


def daemon(tmp_path: Path, process: subprocess.Popen[bytes]) -> Daemon:
    return Daemon(tmp_path / "d.json", arguments(process.pid))


def test_a_recorded_process_is_found_again_and_ended(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    assert not daemon(tmp_path, sleeper).running()
    daemon(tmp_path, sleeper).adopt(sleeper.pid)
    again = daemon(tmp_path, sleeper)
    assert again.running()
    assert again.signal(0)
    again.stop()
    assert sleeper.wait(5) < 0
    assert not again.record.exists()


def test_a_process_that_only_just_starts_is_recorded_as_what_it_becomes(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import time; time.sleep(60)", str(tmp_path)]
    with subprocess.Popen(["sh", "-c", 'sleep 0.1; exec "$@"', "sh", *argv]) as process:
        starting = Daemon(tmp_path / "d.json", argv)
        starting.adopt(process.pid)
        assert starting.running()
        process.kill()


def test_a_pid_that_another_process_got_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    ours = daemon(tmp_path, sleeper)
    ours.adopt(sleeper.pid)
    for lie in ({"started": 1}, {"argv": ["dnsmasq"]}):
        facts = {**orjson.loads(ours.record.read_bytes()), **lie}
        other = Daemon(tmp_path / "other.json", ["dnsmasq", str(tmp_path)])
        other.record.write_bytes(orjson.dumps(facts))
        assert not other.running()
        assert not other.signal(9)
        other.stop()
        assert sleeper.poll() is None


def test_a_process_without_a_record_is_ended_by_its_arguments(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    assert find(arguments(sleeper.pid)) == [sleeper.pid]
    daemon(tmp_path, sleeper).stop()
    assert sleeper.wait(5) < 0


def test_another_program_version_does_not_count_as_running(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    daemon(tmp_path, sleeper).adopt(sleeper.pid)
    changed = Daemon(tmp_path / "d.json", [*arguments(sleeper.pid), "--new-option"])
    assert not changed.running()
    changed.stop()
    assert sleeper.wait(5) < 0


@pytest.mark.parametrize("text", ["", "{}", "[1", '{"pid": "x"}', '{"pid": 1}'])
def test_a_broken_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "d.json").write_text(text)
    assert not Daemon(tmp_path / "d.json", ["x", str(tmp_path)]).running()
