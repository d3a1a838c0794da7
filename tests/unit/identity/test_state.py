"""What the first start makes under STATE/keys, and what a damaged file there leads to."""

import json
from pathlib import Path

import pytest

from skerry.identity import BrokenState, Identity, files

BASE = "https://localhost:8443"


def test_the_first_start_makes_private_files(tmp_path: Path) -> None:
    Identity.load(tmp_path / "deep" / "state", BASE)
    keys = tmp_path / "deep" / "state" / "keys"
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in keys.iterdir()} == {
        "account.json": "0o600",
        "signing.pem": "0o600",
    }
    assert oct(keys.stat().st_mode & 0o777) == "0o700"


def test_two_accounts_share_nothing(tmp_path: Path) -> None:
    first = json.loads(json.dumps(vars(Identity.load(tmp_path / "a", BASE).account)))
    second = vars(Identity.load(tmp_path / "b", BASE).account)
    assert [name for name in first if first[name] == second[name]] == ["user_name"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("account.json", b"{"),
        ("account.json", b"[]"),
        ("account.json", b'{"tenant_id": "x"}'),
        ("signing.pem", b"-----BEGIN PRIVATE KEY-----\nabc\n"),
        ("signing.pem", b""),
    ],
)
def test_a_damaged_file_is_named_and_kept(tmp_path: Path, name: str, content: bytes) -> None:
    Identity.load(tmp_path, BASE)
    path = tmp_path / "keys" / name
    path.write_bytes(content)
    with pytest.raises(BrokenState, match=name):
        Identity.load(tmp_path, BASE)
    assert path.read_bytes() == content


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    files.write(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_secrets_are_compared_whole(tmp_path: Path) -> None:
    account = Identity.load(tmp_path, BASE).account
    assert account.secret_matches(account.app_id.upper(), account.app_secret)
    assert not account.secret_matches(account.app_id, account.app_secret[:-1])
    assert not account.secret_matches("other", account.app_secret)
    assert account.password_matches("Admin@skerry.local", account.user_password)
    assert not account.password_matches("admin@skerry.local", "")
