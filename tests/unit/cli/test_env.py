"""`skerry env`: safely quoted exports on stdout, and az told once, with the secret off its command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.cloud import Cloud, Skerry, failure

AZ = """#!{python}
import json, os, sys
words = sys.argv[1:]
folder = os.environ["AZURE_CONFIG_DIR"]
if words[:2] == ["cloud", "register"]:
    open(folder + "/clouds.config", "w").write("[Skerry]")
secret = [open(word[1:]).read() for word in words if word.startswith("@")]
open({log!r}, "a").write(json.dumps([words, secret, os.environ["REQUESTS_CA_BUNDLE"]]) + "\\n")
print("noise")
if os.path.exists({log!r} + ".fail"):
    sys.exit("ERROR: it doesn't work")
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in for az writes how it was called."""
    log, program = tmp_path / "calls", tmp_path / "my az"
    program.write_text(AZ.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    monkeypatch.setenv("SKERRY_AZ", str(program))
    return log


def _sourced(script: str) -> dict[str, str]:
    """What a shell has after it ran `script`."""
    print_all = "import json, os; print(json.dumps(dict(os.environ)))"
    shell = ["sh", "-c", f'eval "$1"; {sys.executable} -c "$2"', "sh", script, print_all]
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def test_exports_point_everything_here(cloud: Cloud, skerry: Skerry, calls: Path) -> None:
    result = skerry("env")
    assert result.exit_code == 0, result.stderr
    assert all(line.startswith("export ") for line in result.stdout.splitlines())
    environment, account = _sourced(result.stdout), cloud.identity.account
    assert environment["REQUESTS_CA_BUNDLE"] == f"{cloud.state}/tls/ca-bundle.pem"
    assert environment["AZURE_CONFIG_DIR"] == f"{cloud.state}/azure"
    assert environment["AZURE_CLIENT_SECRET"] == account.app_secret
    assert environment["AZURE_SUBSCRIPTION_ID"] == account.subscription_id
    assert environment["AZURE_AUTHORITY_HOST"] == environment["ARM_ENDPOINT"] == cloud.identity.base_url
    assert environment["AZURE_TENANT_ID"] == "adfs"


def test_az_is_told_once_for_each_secret(cloud: Cloud, skerry: Skerry, calls: Path) -> None:
    for _ in range(2):
        assert skerry("env").exit_code == 0
    made = [json.loads(line) for line in calls.read_text().splitlines()]
    assert [words[:2] for words, _, _ in made] == [
        ["cloud", "register"],
        ["cloud", "set"],
        ["login", "--service-principal"],
    ]
    secret = cloud.identity.account.app_secret
    assert made[2][1] == [secret]
    assert secret not in json.dumps([words for words, _, _ in made])
    assert made[0][2] == f"{cloud.state}/tls/ca-bundle.pem"
    assert not list((cloud.state / "azure").glob("tmp*"))

    (cloud.state / "azure" / ".skerry").write_text("another secret's")
    calls.unlink()
    assert skerry("env").exit_code == 0
    made = [json.loads(line)[0] for line in calls.read_text().splitlines()]
    assert made[:2] == [
        ["cloud", "set", "-n", "AzureCloud", "--only-show-errors"],
        ["cloud", "unregister", "-n", "Skerry", "--only-show-errors"],
    ]
    assert len(made) == 5


def test_when_az_fails_nothing_is_exported(cloud: Cloud, skerry: Skerry, calls: Path) -> None:
    calls.with_name("calls.fail").touch()
    result = skerry("env")
    assert "ERROR: it doesn't work" in failure(result)
    assert result.stdout == ""


def test_without_az_the_exports_come_all_the_same(
    cloud: Cloud, skerry: Skerry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SKERRY_AZ", raising=False)
    result = skerry("env")
    assert "make az" in result.stderr
    assert "export AZURE_CLIENT_ID=" in result.stdout
