"""`skerry doctor`: findings are shown, and decide the exit code."""

import json
import socket

import pytest
from tests.unit.cli.cloud import Skerry

from skerry.host.checks import Check

GOOD = Check("QEMU", True, "version 7.2", "")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which all is well."""
    monkeypatch.setattr("skerry.host.compute.checks.compute_checks", lambda: [GOOD])
    monkeypatch.setattr("skerry.host.network.checks.check", lambda: [Check("nft", True, "1.0.6", "")])
    monkeypatch.setattr("skerry.cli.doctor.DISK_BYTES", 0)
    monkeypatch.setattr("skerry.cli.doctor.MEMORY_BYTES", 0)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


@pytest.fixture
def port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_all_well(skerry: Skerry, port: str) -> None:
    result = skerry("doctor", "--port", port)
    assert result.exit_code == 0, result.output
    assert "MISSING" not in result.stdout
    assert "\x1b" not in result.stdout


def test_one_thing_missing_fails_and_says_how_to_mend_it(
    skerry: Skerry, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Check("QEMU", False, "not installed", "apt-get install qemu-system-x86")
    monkeypatch.setattr("skerry.host.compute.checks.compute_checks", lambda: [missing])
    result = skerry("doctor", "--port", port)
    assert result.exit_code == 1
    line = next(line for line in result.stdout.splitlines() if line.startswith("MISSING"))
    assert line.endswith("apt-get install qemu-system-x86")


def test_a_check_that_breaks_is_a_finding_among_the_others(
    skerry: Skerry, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[Check]:
        raise ValueError("cannot parse")

    monkeypatch.setattr("skerry.host.network.checks.check", broken)
    result = skerry("doctor", "--port", port, "-o", "json")
    found = {check["name"]: check for check in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert "cannot parse" in found["network"]["detail"]
    assert found["QEMU"]["ok"]


def test_a_port_in_use_is_found(skerry: Skerry) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        result = skerry("doctor", "--port", str(listener.getsockname()[1]), "-o", "json")
    found = {check["name"]: check for check in json.loads(result.stdout)}
    assert not found["port"]["ok"]
    assert "--port" in found["port"]["mend"]


def test_without_rights_it_says_how_to_get_them(skerry: Skerry, port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "sudo skerry up" in skerry("doctor", "--port", port).stdout
