"""Microsoft.Compute/sshPublicKeys."""

from typing import Any

import pytest
from tests.api.client import KEY, Arm

PATH = "resourceGroups/rg/providers/Microsoft.Compute/sshPublicKeys/key"


@pytest.fixture(autouse=True)
def group(arm: Arm) -> None:
    """The group of all keys."""
    arm.group()


def body(key: str | None = None) -> dict[str, Any]:
    return {"location": "local", "properties": {"publicKey": key} if key else {}}


def test_a_key_lives_like_any_resource(arm: Arm) -> None:
    created = arm.put(PATH, body(f"{KEY}\n"))
    assert (created.status, created.body["properties"]) == (201, {"publicKey": KEY})
    assert arm.put(PATH, body()).body["properties"] == {"publicKey": KEY}
    patched = arm.call("PATCH", PATH, {"tags": {"a": "b"}})
    assert (patched.status, patched.body["tags"]) == (200, {"a": "b"})
    listed = arm.get("providers/Microsoft.Compute/sshPublicKeys").body["value"]
    assert [entry["name"] for entry in listed] == ["key"]
    assert arm.delete(PATH).status == 200
    assert arm.get(PATH).status == 404


def test_what_is_no_key_is_refused(arm: Arm) -> None:
    answer = arm.put(PATH, body("ssh-rsa AAAA"))
    assert (answer.status, answer.code, answer.body["error"]["target"]) == (400, "InvalidParameter", "publicKey")
    assert arm.get(PATH).status == 404


@pytest.mark.parametrize("asked, kind", [(None, "ssh-rsa"), ({"encryptionType": "Ed25519"}, "ssh-ed25519")])
def test_a_pair_is_generated_once_and_its_private_half_not_kept(arm: Arm, asked: Any, kind: str) -> None:
    identifier = arm.put(PATH, body()).body["id"]
    pair = arm.post(f"{PATH}/generateKeyPair", asked)
    assert (pair.status, pair.body["id"]) == (200, identifier)
    assert pair.body["publicKey"].startswith(f"{kind} ")
    assert "PRIVATE KEY" in pair.body["privateKey"]
    assert arm.get(PATH).body["properties"] == {"publicKey": pair.body["publicKey"]}
    again = arm.post(f"{PATH}/generateKeyPair", asked)
    assert (again.status, again.code) == (409, "OperationNotAllowed")


def test_a_pair_of_an_unknown_kind_is_refused(arm: Arm) -> None:
    arm.put(PATH, body())
    answer = arm.post(f"{PATH}/generateKeyPair", {"encryptionType": "DSA"})
    assert (answer.status, answer.code) == (400, "InvalidParameter")
    assert arm.get(PATH).body["properties"] == {}
