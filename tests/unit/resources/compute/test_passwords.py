"""The rules for administrators and host names."""

import pytest

from skerry.arm.errors import BadRequest
from skerry.resources.compute.passwords import (
    check_admin_username,
    check_computer_name,
    check_password,
    hash_password,
)
from skerry.resources.compute.sha512crypt import sha512_crypt


@pytest.mark.parametrize(
    "password",
    ["Abcdefghijk1", "abcdefghij1!", "ABCDEFGHIJ1_", "Abcdefghijk ", "Passwort für alle", "Aa1" + "x" * 69],
)
def test_a_password_of_three_classes_passes(password: str) -> None:
    check_password(password)


@pytest.mark.parametrize(
    "password",
    [
        "Abcdefghij1",
        "Aa1" + "x" * 70,
        "abcdefghijk1",
        "ABCDEFGHIJK!",
        "P@ssw0rd",
        "Abcdefghijk1\n",
        "Abcdefghijk1\x7f",
        "",
    ],
)
def test_another_password_is_refused_and_not_repeated(password: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        check_password(password)
    assert (refusal.value.code, refusal.value.detail.target) == ("InvalidParameter", "adminPassword")
    assert "between 12-72 characters" in refusal.value.message
    assert not password or password not in refusal.value.message


def test_a_hash_has_a_salt_of_its_own() -> None:
    first, second = hash_password("Correct horse 1"), hash_password("Correct horse 1")
    assert first != second
    _, kind, salt, _ = first.split("$")
    assert kind == "6"
    assert first == sha512_crypt(b"Correct horse 1", salt)


@pytest.mark.parametrize("name", ["me", "azureuser", "john", "_svc", "first.last", "a-b_c", "Me", "x" * 32])
def test_a_user_name_passes(name: str) -> None:
    assert check_admin_username(name) == name


@pytest.mark.parametrize("name", ["root", "Admin", "admin2", "user5", "123", "support_388945a0", "test"])
def test_a_reserved_user_name_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="The Admin Username specified is not allowed") as refusal:
        check_admin_username(name)
    assert refusal.value.detail.target == "adminUsername"


@pytest.mark.parametrize("name", ["", "x" * 33, "-me", "1me", "a b", "a/b", "a:b", "ab\n", "$(id)", "../x", "größe"])
def test_a_user_name_that_no_guest_takes_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="Linux admin user name must") as refusal:
        check_admin_username(name)
    assert refusal.value.detail.target == "adminUsername"


@pytest.mark.parametrize("name", ["web", "WEB-1", "1", "a.b.c", "x" * 63, "a." + "x" * 62])
def test_a_host_name_passes(name: str) -> None:
    assert check_computer_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "x" * 64, "a." + "x" * 63, "-a", "a-", "a_b", "a..b", ".a", "a.", "a b", "a\n", "ä", "a'b"]
)
def test_another_host_name_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="Linux host name cannot exceed 64 characters") as refusal:
        check_computer_name(name)
    assert refusal.value.detail.target == "computerName"
