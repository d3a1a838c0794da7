"""Secrets that go in by every way there is never come out again: not in an answer, a log, or a file."""

import base64
import json
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.api.client import BASE, Answer, Arm

from skerry import logs
from skerry.identity import Identity
from skerry.resources.compute.disk import model as disks

PASSWORD = "Planted-Password-1x"
CUSTOM = base64.b64encode(b"#!/bin/sh\n# planted-custom-data\n").decode()
USER = base64.b64encode(b"planted-user-data").decode()
PARAMETER, MEMBER, DEFAULT = "Planted-Parameter-2y", "Planted-Member-3z", "Planted-Default-4w"
PLANTED = (PASSWORD, CUSTOM, USER, "planted-custom", "planted-user", PARAMETER, MEMBER, DEFAULT, "Planted-Wrong")
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


@pytest.fixture(autouse=True)
def heard(arm: Arm, capfd: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    """Everything that was answered; at the end neither it nor what was printed may hold a secret."""
    logs.configure()
    answered: list[str] = []
    plain = arm.client.request

    def request(method: str, url: Any, **more: Any) -> Any:
        response = plain(method, url, **more)
        answered.append(f"{response.status_code} {dict(response.headers)} {response.text}")
        return response

    arm.client.request = request  # type: ignore[method-assign]
    yield answered
    out, err = capfd.readouterr()
    for secret in PLANTED:
        assert [text for text in answered if secret in text] == []
        assert secret not in out
        assert secret not in err


def passworded(arm: Arm, nic: str, **profile: Any) -> dict[str, Any]:
    """A VM with a password, custom data and user data."""
    body = arm.vm_body(nic)
    os_profile = {"computerName": "web", "adminUsername": "me", "adminPassword": PASSWORD, "customData": CUSTOM}
    body["properties"] |= {"osProfile": os_profile | profile, "userData": USER}
    return body


def walk(arm: Arm) -> None:
    """GET everything that there is."""
    lists = ["resources", "resourcegroups", "providers", "locations"]
    lists += [f"providers/{kind.name}" for kind in arm.control.service.registry.top_level()]
    for path in lists:
        assert arm.get(path).status in (200, 400, 404)
    with arm.control.store.read() as work:
        rows = work.resources.list()
    for row in rows:
        for path in (row.id, f"{row.id}?$expand=instanceView", f"{row.id}/operations", f"{row.id}/instanceView"):
            assert arm.get(path).status in (200, 400, 404)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    events = arm.get(f"providers/Microsoft.Insights/eventtypes/management/values?$filter=eventTimestamp ge '{since}'")
    assert events.status == 200
    for path in ("/healthz", "/images/aliases.json", "/metrics", "/openapi.json"):
        assert arm.client.request("GET", path).status_code == 200


def stored(folder: Path) -> bytes:
    """All files of a state folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_machines_secrets(arm: Arm, tmp_path: Path) -> None:
    group = arm.group()
    path = f"{group}/providers/Microsoft.Compute/virtualMachines/web"
    arm.done(arm.put(path, passworded(arm, arm.nic(group))))
    arm.call("PATCH", path, {"properties": {"osProfile": {"adminPassword": PASSWORD, "customData": CUSTOM}}})
    arm.put(path, passworded(arm, arm.nic(group)))
    walk(arm)
    told = arm.spec(path).provisioning
    assert told is not None
    assert (told.password_hash, told.custom_data) == (None, None), "its guest has them: its host needs them no more"
    with arm.control.store.read() as work:
        kept = b"".join(orjson.dumps(row.private) for row in work.resources.list())
    assert b"$6$" not in kept
    assert CUSTOM.encode() not in kept
    for secret in (PASSWORD, "planted-custom"):
        assert secret.encode() not in stored(tmp_path)


def test_a_guest_that_is_not_there_yet_has_its_secrets_with_its_host_only(arm: Arm, tmp_path: Path) -> None:
    arm.host.compute.never_ready = True
    group = arm.group()
    path = f"{group}/providers/Microsoft.Compute/virtualMachines/web"
    assert arm.put(path, passworded(arm, arm.nic(group))).status == 201
    walk(arm)
    assert PASSWORD.encode() not in stored(tmp_path)


@pytest.mark.parametrize(
    "profile",
    [
        {"adminPassword": {"value": "Planted-Wrong"}},
        {"adminPassword": ["Planted-Wrong"]},
        {"adminPassword": "Planted-Wrong\n"},
        {"customData": "Planted-Wrong!"},
        {"customData": {"Planted": "Planted-Wrong"}},
        {"secrets": [{"sourceVault": "Planted-Wrong"}]},
        {"adminUsername": None},
        {"adminUsername": "root"},
        {"windowsConfiguration": {"password": "Planted-Wrong"}},
        {"linuxConfiguration": {"ssh": {"publicKeys": [{"keyData": "-----BEGIN Planted-Wrong"}]}}},
    ],
    ids=str,
)
def test_a_refused_machines_secrets(arm: Arm, profile: dict[str, Any]) -> None:
    group = arm.group()
    path = f"{group}/providers/Microsoft.Compute/virtualMachines/web"
    assert arm.put(path, passworded(arm, arm.nic(group), **profile)).status == 400
    broken = json.dumps(passworded(arm, arm.nic(group))).encode()
    assert arm.put(path, broken[:-5]).status == 400
    assert arm.put(path, broken + b"x").status == 400
    walk(arm)


def test_an_exceptions_secrets(arm: Arm, monkeypatch: pytest.MonkeyPatch, heard: list[str]) -> None:
    def fail(*given: Any, **more: Any) -> None:
        password = PASSWORD
        raise ValueError(f"{given} {more} {password}")

    group = arm.group()
    nic = arm.nic(group)
    path = f"{group}/providers/Microsoft.Compute/virtualMachines/web"
    with monkeypatch.context() as patched:
        patched.setattr(disks, "create_os_disk", fail)
        assert arm.put(path, passworded(arm, nic)).status == 500
    token = arm._headers["Authorization"]
    assert not [text for text in heard if token in text]


def template(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A deployment of one network with secrets in its parameters."""
    resource = {
        "type": "Microsoft.Network/virtualNetworks",
        "apiVersion": "2024-01-01",
        "name": "net",
        "location": "local",
        "properties": properties,
    }
    parameters = {
        "p": {"type": "SecureString"},
        "o": {"type": "secureObject"},
        "d": {"type": "securestring", "defaultValue": DEFAULT},
    }
    whole = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "parameters": parameters, "resources": [resource], **more}
    given = {"p": {"value": PARAMETER}, "o": {"value": {"deep": [{"er": MEMBER}]}}}
    return {"properties": {"mode": "Incremental", "template": whole, "parameters": given}}


BAD = ["[parameters('p')]", "[parameters('o').deep[0].er]", "[parameters('d')]"]


MEMBERS = ["addressPrefixes", "unknown", "name", "expression", "output"]


def deployment(value: str, member: str) -> dict[str, Any]:
    """One that puts a secret where it makes an error."""
    inner = value[1:-1]
    return {
        "addressPrefixes": lambda: template({"addressSpace": {"addressPrefixes": [value]}}),
        "unknown": lambda: template({"addressSpace": {"addressPrefixes": ["10.0.0.0/8"]}, value: {"a": 1}}),
        "name": lambda: template({"subnets": [{"name": value, "properties": {"addressPrefix": value}}]}),
        "expression": lambda: template({"addressSpace": f"[createObject('a', 1)[{inner}]]"}),
        "output": lambda: template(
            {"addressSpace": {"addressPrefixes": ["10.0.0.0/8"]}},
            outputs={
                "kept": {"type": "securestring", "value": value},
                "bad": {"type": "int", "value": f"[int({inner})]"},
            },
        ),
    }[member]()


def test_a_deployments_secrets(arm: Arm, tmp_path: Path) -> None:
    group = arm.group()
    for number, (value, member) in enumerate(product(BAD, MEMBERS)):
        path, body = f"{group}/providers/Microsoft.Resources/deployments/d{number}", deployment(value, member)
        answer = arm.wait(arm.put(path, body))
        assert answer.body["status"] == "Failed", (value, member)
        arm.post(f"{path}/validate", body)
    walk(arm)
    for secret in (PARAMETER, MEMBER, DEFAULT):
        assert secret.encode() not in stored(tmp_path)


def test_a_login(arm: Arm, identity: Identity, tmp_path: Path, heard: list[str]) -> None:
    account = identity.account
    right = {"grant_type": "client_credentials", "client_id": account.app_id, "client_secret": account.app_secret}
    user = {"grant_type": "password", "client_id": "az", "username": account.user_name}

    def login(form: dict[str, str], **headers: str) -> Answer:
        response = arm.client.request("POST", "/adfs/oauth2/token", data=form, headers=headers)
        return Answer(response.status_code, response.json(), response.headers)

    secrets = [account.app_secret, account.user_password, "Planted-Wrong"]
    secrets += [login(right).body["access_token"]]
    given = login(user | {"password": account.user_password}).body
    secrets += [given["access_token"], given["refresh_token"], given["id_token"]]
    started = arm.client.request("POST", "/adfs/oauth2/devicecode", data={"client_id": "az"}).json()
    secrets += [started["device_code"]]
    heard.clear()  # what was asked for by its owner may be told to them
    for form in (
        right | {"client_secret": "Planted-Wrong"},
        right | {"client_secret": account.app_secret, "client_id": "Someone"},
        right | {"grant_type": account.app_secret[:8], "scope": "Planted"},
        user | {"password": "Planted-Wrong"},
        {"grant_type": "refresh_token", "client_id": "az", "refresh_token": "Planted-Wrong"},
        {"grant_type": "device_code", "client_id": "az", "device_code": started["device_code"]},
    ):
        assert login(form).status in (400, 401)
    basic = base64.b64encode(b"someone:Planted-Wrong").decode()
    login({"grant_type": "client_credentials"}, Authorization=f"Basic {basic}")
    login({"grant_type": "client_credentials"}, Authorization="Basic Planted-Wrong")
    page = {"user_code": "none", "username": account.user_name, "password": "Planted-Wrong"}
    arm.client.request("POST", "/adfs/oauth2/deviceauth", data=page)
    arm.client.request(
        "GET", "/subscriptions?api-version=2022-12-01", headers={"Authorization": "Bearer Planted-Wrong"}
    )
    arm.client.request("GET", "/skerry/serial/x?se=9&sig=Planted-Wrong")
    walk(arm)
    for secret in secrets:
        assert [text for text in heard if secret in text] == []
        assert secret.encode() not in stored(tmp_path)


def test_a_generated_key_and_a_signed_link(arm: Arm, tmp_path: Path, heard: list[str]) -> None:
    group = arm.group()
    path = f"{group}/providers/Microsoft.Compute/sshPublicKeys/key"
    arm.put(path, {"location": "local"})
    private = arm.post(f"{path}/generateKeyPair", {}).body["privateKey"]
    vm = arm.vm(group, diagnosticsProfile={"bootDiagnostics": {"enabled": True}})
    link = arm.post(f"{vm}/retrieveBootDiagnosticsData").body["serialConsoleLogBlobUri"]
    heard.clear()
    arm.post(f"{path}/generateKeyPair", {})
    assert arm.client.request("GET", link.removeprefix(BASE) + "0").status_code == 403
    walk(arm)
    signature = link.rpartition("sig=")[2]
    for secret in (private.splitlines()[1], private.splitlines()[-2], signature):
        assert [text for text in heard if secret in text] == []
        assert secret.encode() not in stored(tmp_path)
