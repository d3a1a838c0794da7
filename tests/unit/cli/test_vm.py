"""`skerry vm` against a small cloud over real TLS."""

import json
import os
import stat
import sys
from base64 import b64decode
from pathlib import Path

import pytest
from tests.unit.cli.cloud import Cloud, Skerry, answer, failure

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me"
ADDRESSES = ["127.9.8.7", "10.0.0.4"]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pub"
    path.write_text(KEY + "\n")
    return path


def test_create_makes_the_group_the_parts_and_the_machine(cloud: Cloud, skerry: Skerry, key: Path) -> None:
    made = answer(skerry("vm", "create", "web", "--ssh-key", str(key), "--size", "Standard_B2s", "-o", "json"))
    assert (made["powerState"], made["publicIps"], made["privateIps"]) == ("VM running", "127.9.8.7", "10.0.0.4")
    puts = [path.rpartition("/")[2] for method, path in cloud.requests if method == "PUT"]
    assert puts == ["default", "webVNET", "webNSG", "webPublicIP", "webVMNic", "web"]
    properties = cloud.vm("web")["properties"]
    assert properties["hardwareProfile"] == {"vmSize": "Standard_B2s"}
    assert properties["osProfile"]["linuxConfiguration"]["ssh"]["publicKeys"] == [
        {"path": "/home/skerry/.ssh/authorized_keys", "keyData": KEY}
    ]
    assert properties["storageProfile"]["imageReference"]["sku"] == "12-gen2"


def test_custom_data_goes_along_as_it_is(cloud: Cloud, skerry: Skerry, key: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"#!/bin/sh\ntrue\n")
    answer(skerry("vm", "create", "web", "--ssh-key", str(key), "--custom-data", str(data), "-o", "json"))
    assert b64decode(cloud.vm("web")["properties"]["osProfile"]["customData"]) == data.read_bytes()


def test_a_second_machine_uses_the_groups_network(cloud: Cloud, skerry: Skerry, key: Path) -> None:
    for name in ("web", "db"):
        answer(skerry("vm", "create", name, "--ssh-key", str(key), "-o", "json"))
    puts = [path.rpartition("/")[2] for method, path in cloud.requests if method == "PUT"]
    assert puts[6:] == ["dbNSG", "dbPublicIP", "dbVMNic", "db"]
    assert sorted(vm["name"] for vm in answer(skerry("vm", "list", "-o", "json"))) == ["db", "web"]


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ("debian12", {"publisher": "Debian", "offer": "debian-12", "sku": "12-gen2", "version": "latest"}),
        ("a:b:c:1.2.3", {"publisher": "a", "offer": "b", "sku": "c", "version": "1.2.3"}),
        ("/subscriptions/s/images/i", {"id": "/subscriptions/s/images/i"}),
    ],
)
def test_an_image_is_an_alias_a_urn_or_an_id(
    cloud: Cloud, skerry: Skerry, key: Path, image: str, reference: dict[str, str]
) -> None:
    answer(skerry("vm", "create", "web", "--image", image, "--ssh-key", str(key), "-o", "json"))
    assert cloud.vm("web")["properties"]["storageProfile"]["imageReference"] == reference


def test_an_image_that_is_not_here_changes_nothing(cloud: Cloud, skerry: Skerry, key: Path) -> None:
    message = failure(skerry("vm", "create", "web", "--image", "Windows", "--ssh-key", str(key)))
    assert "There are: Debian12" in message
    assert "skerry image build" in message
    assert cloud.resources == {}


def test_a_user_without_a_key_gets_one(cloud: Cloud, skerry: Skerry) -> None:
    result = skerry("vm", "create", "web", "-o", "json")
    private = cloud.state / "keys" / "user_ed25519"
    assert str(private) in result.stderr
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert "BEGIN OPENSSH PRIVATE KEY" in private.read_text()
    public = private.with_suffix(".pub").read_text().strip()
    keys = cloud.vm("web")["properties"]["osProfile"]["linuxConfiguration"]["ssh"]["publicKeys"]
    assert keys[0]["keyData"] == public
    assert "made" not in skerry("vm", "create", "db", "-o", "json").stderr


def test_the_users_own_key_comes_first(cloud: Cloud, skerry: Skerry, tmp_path: Path) -> None:
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True)
    (folder / "id_ed25519.pub").write_text(KEY)
    answer(skerry("vm", "create", "web", "-o", "json"))
    assert not (cloud.state / "keys" / "user_ed25519").exists()
    assert cloud.vm("web")["properties"]["osProfile"]["linuxConfiguration"]["ssh"]["publicKeys"][0]["keyData"] == KEY


def test_a_private_key_file_is_refused(cloud: Cloud, skerry: Skerry, tmp_path: Path) -> None:
    path = tmp_path / "id_rsa"
    path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n")
    assert "Name the .pub file" in failure(skerry("vm", "create", "web", "--ssh-key", str(path)))


def test_a_refusal_is_shown_with_its_code(cloud: Cloud, skerry: Skerry, key: Path) -> None:
    cloud.refuse["webVMNic"] = "no room in the subnet"
    assert failure(skerry("vm", "create", "web", "--ssh-key", str(key))) == "Refused: no room in the subnet"


def test_a_change_that_fails_later_is_shown_with_its_code(cloud: Cloud, skerry: Skerry, key: Path) -> None:
    cloud.fail["virtualMachines/web"] = "the guest never reported"
    result = skerry("vm", "create", "web", "--ssh-key", str(key))
    assert failure(result) == "Broken: the guest never reported"
    assert "Creating web: virtual machine\n" in result.stderr


@pytest.fixture
def web(cloud: Cloud, skerry: Skerry, key: Path) -> Cloud:
    answer(skerry("vm", "create", "web", "--ssh-key", str(key), "-o", "json"))
    cloud.requests.clear()
    return cloud


@pytest.mark.parametrize(
    ("command", "action"),
    [("start", "start"), ("stop", "powerOff"), ("restart", "restart"), ("deallocate", "deallocate")],
)
def test_actions_are_posted_and_waited_for(web: Cloud, skerry: Skerry, command: str, action: str) -> None:
    answer(skerry("vm", command, "WEB", "-o", "json"))
    posts = [path for method, path in web.requests if method == "POST"]
    assert posts == [f"{web.group()}/providers/Microsoft.Compute/virtualMachines/web/{action}"]
    assert set(web.polls.values()) == {0}


def test_no_wait_returns_at_once(web: Cloud, skerry: Skerry) -> None:
    answer(skerry("vm", "restart", "web", "--no-wait", "-o", "json"))
    assert list(web.polls.values())[-1] == 2


def test_resize(web: Cloud, skerry: Skerry) -> None:
    shown = answer(skerry("vm", "resize", "web", "--size", "Standard_D2s_v5", "-o", "json"))
    assert shown["properties"]["hardwareProfile"]["vmSize"] == "Standard_D2s_v5"


def test_delete_asks_unless_told_not_to(web: Cloud, skerry: Skerry) -> None:
    assert skerry("vm", "delete", "web").exit_code == 1
    assert web.vm("web")
    assert answer(skerry("vm", "delete", "web", "-y", "-o", "json"))["deleted"] is True
    assert "There is no virtual machine 'web'" in failure(skerry("vm", "show", "web"))


def test_a_name_in_two_groups_needs_the_group(web: Cloud, skerry: Skerry, key: Path) -> None:
    answer(skerry("vm", "create", "web", "-g", "second", "--ssh-key", str(key), "-o", "json"))
    assert "say which with -g" in failure(skerry("vm", "show", "web"))
    assert answer(skerry("vm", "show", "web", "-g", "second", "-o", "json"))["id"].split("/")[4] == "second"
    assert "in 'third'" in failure(skerry("vm", "show", "web", "-g", "third"))


def test_a_table_is_for_people_and_query_for_parts(web: Cloud, skerry: Skerry) -> None:
    lines = skerry("vm", "list").stdout.splitlines()
    assert lines[0].split()[:3] == ["Name", "ResourceGroup", "Location"]
    assert lines[2].split() == [
        "web",
        "default",
        "local",
        "Standard_B1s",
        "VM",
        "running",
        "Succeeded",
        "127.9.8.7",
        "10.0.0.4",
    ]
    assert answer(skerry("vm", "list", "-o", "json", "--query", "[].publicIps")) == ["127.9.8.7"]
    assert skerry("vm", "list", "--query", "[].{n:name}").stdout.split() == ["n", "---", "web"]
    assert "--query can't be read" in failure(skerry("vm", "list", "--query", "[["))


def test_the_console_log_comes_by_its_signed_link(web: Cloud, skerry: Skerry) -> None:
    web.serial = b"\x1b[2Jlogin: \xff\r\n"
    assert skerry("vm", "console", "web").stdout_bytes == web.serial
    assert answer(skerry("vm", "console", "web", "-o", "json")) == {"serialLog": "\x1b[2Jlogin: \ufffd\r\n"}


def test_the_token_is_cached_privately_and_renewed_when_refused(web: Cloud, skerry: Skerry) -> None:
    path = web.state / "azure" / "skerry-token.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    cached = json.loads(path.read_text())
    path.write_text(json.dumps({**cached, "token": "stale"}))
    answer(skerry("vm", "list", "-o", "json"))
    assert json.loads(path.read_text())["token"] not in ("stale", "")


def test_ssh_goes_to_the_public_address_with_a_host_key_of_its_own(
    web: Cloud, skerry: Skerry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    executed: list[list[str]] = []

    def execv(path: str, argv: list[str]) -> None:
        executed.append(argv)
        sys.exit(7)

    monkeypatch.setattr(os, "execv", execv)
    vm_id = "11111111-2222-3333-4444-555555555555"
    assert skerry("vm", "ssh", "web", "--", "uname -a; hostname", "-x").exit_code == 7
    known_hosts = web.state / "azure" / "known_hosts" / vm_id
    assert executed[0] == [
        "ssh",
        *["-o", f'UserKnownHostsFile="{known_hosts}"', "-o", "GlobalKnownHostsFile=/dev/null"],
        *["-o", "StrictHostKeyChecking=accept-new", "-o", f"HostKeyAlias={vm_id}", "-o", "LogLevel=ERROR"],
        *["--", "skerry@127.9.8.7", "uname -a; hostname", "-x"],
    ]
    assert skerry("vm", "run", "-l", "root", "web", "--", "id").exit_code == 7
    batch = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30"]
    assert executed[1][-8:] == [*batch, "--", "root@127.9.8.7", "id"]
    for wrong in (["run", "web"], ["ssh", "web", "-g", "default"]):
        assert skerry("vm", *wrong).exit_code == 2


def test_a_machine_without_public_address_cannot_be_reached(web: Cloud, skerry: Skerry) -> None:
    for path, resource in web.resources.items():
        if "/publicipaddresses/" in path:
            del resource["properties"]["ipAddress"]
    assert "has no public address" in failure(skerry("vm", "ssh", "web"))


def test_without_a_server_the_message_says_how_to_start_one(skerry: Skerry, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    assert "Start it with `skerry up" in failure(skerry("vm", "list"))
