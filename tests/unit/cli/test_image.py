"""`skerry image` on a state folder that no server holds."""

import struct
from pathlib import Path

import pytest
from tests.unit.cli.cloud import Cloud, Skerry, answer, failure


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A disk of 2 MiB with one partition in its MBR."""
    path = tmp_path / "small-disk.raw"
    partition = struct.pack("<B3sB3sII", 0x80, b"\0\0\0", 0x83, b"\0\0\0", 2048, 2048)
    path.write_bytes((b"\0" * 446 + partition).ljust(510, b"\0") + b"\x55\xaa" + b"\0" * ((2 << 20) - 512))
    return path


def test_an_imported_image_can_be_listed_aliased_and_removed(skerry: Skerry, raw: Path) -> None:
    made = answer(skerry("image", "import", str(raw), "--generation", "V1", "-o", "json"))
    assert (made[0]["alias"], made[0]["size_bytes"], made[0]["generation"]) == ("small-disk", 2 << 20, "V1")
    assert skerry("image", "alias", "Canonical:ubuntu:22_04:latest", "small-disk").exit_code == 0
    shown = answer(skerry("image", "list", "-o", "json", "--query", "[].aliases[]"))
    assert shown == ["Canonical:ubuntu:22_04:latest"]
    assert "small-disk" in skerry("image", "list").stdout
    assert skerry("image", "remove", "small-disk").exit_code == 0
    assert answer(skerry("image", "list", "-o", "json")) == []


def test_what_is_no_image_is_refused_with_the_reason(skerry: Skerry, tmp_path: Path) -> None:
    path = tmp_path / "text.raw"
    path.write_text("not a disk" * 1000)
    assert str(path) in failure(skerry("image", "import", str(path)))
    assert "no image is called 'x'" in failure(skerry("image", "remove", "x"))


def test_an_unknown_recipe_names_those_that_are_known(skerry: Skerry) -> None:
    assert "debian-12" in failure(skerry("image", "build", "windows-95"))


TEMPLATE = {
    "id": "t",
    "host": "near",
    "image": "x",
    "sizes": ["Standard_B1s"],
    "state": "ready",
    "order": 2,
    "message": "",
}


def templates_path(cloud: Cloud) -> str:
    return f"/subscriptions/{cloud.identity.subscription_id}/providers/Skerry.Admin/templates".lower()


def test_warm_returns_once_every_host_has_carried_the_order_out(cloud: Cloud, skerry: Skerry) -> None:
    cloud.orders[templates_path(cloud)] = {"id": "t", "orders": {"near": 2}}
    cloud.views[templates_path(cloud)] = {"value": [TEMPLATE]}
    shown = skerry("image", "warm", "x")
    assert "New VMs of x with Standard_B1s start warm" in shown.stdout
    assert ("POST", templates_path(cloud)) in [(method, path.lower()) for method, path in cloud.requests]


def test_warm_waits_for_a_host_that_has_an_older_order_only(
    cloud: Cloud, skerry: Skerry, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.orders[templates_path(cloud)] = {"id": "t", "orders": {"near": 3}}
    cloud.views[templates_path(cloud)] = {"value": [TEMPLATE]}
    monkeypatch.setattr("skerry.cli.image.WARM_SECONDS", 0)
    assert "still being made on near" in failure(skerry("image", "warm", "x"))


def test_warm_says_why_an_image_can_t_be(cloud: Cloud, skerry: Skerry) -> None:
    cloud.orders[templates_path(cloud)] = {"id": "t", "orders": {"near": 2}}
    cloud.views[templates_path(cloud)] = {"value": [{**TEMPLATE, "state": "failed", "message": "memory is short."}]}
    assert "x can't start warm for Standard_B1s: memory is short. VMs" in failure(skerry("image", "warm", "x"))


def test_the_list_shows_what_is_warm(cloud: Cloud, skerry: Skerry, raw: Path) -> None:
    image = answer(skerry("image", "import", str(raw), "-o", "json"))[0]
    cloud.views[templates_path(cloud)] = {"value": [{**TEMPLATE, "image": image["id"]}]}
    assert answer(skerry("image", "list", "-o", "json"))[0]["warm_sizes"] == ["Standard_B1s"]
    cloud.views.clear()
    assert answer(skerry("image", "list", "-o", "json"))[0]["warm_sizes"] == []
