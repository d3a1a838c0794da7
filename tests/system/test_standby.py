"""New VMs that a machine stood by for: as much their own as any, and nothing is left of machines that nobody took."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.cloud import Cloud, cloud_of_its_own, until
from tests.system.test_warm import IDENTITY, OF_THE_TEMPLATE, ask, create, creating, logged, phases, qemus, ready

pytestmark = pytest.mark.warm
ON = ("--warm", "on", "--standby", "2")
STOOD_BY = {"agent", "identity"}
# What the firmware and QEMU say: it is theirs again after each reset.
HARDWARE = """
sudo cat /sys/class/dmi/id/product_uuid; cat /sys/class/net/eth0/address /sys/block/vda/serial; echo; hostname
"""


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """Skerry with a template, and two machines that stand by."""
    with cloud_of_its_own(*ON) as found:
        found.skerry("image", "warm", "debian-12")
        yield found


@pytest.fixture(autouse=True)
def two(cloud: Cloud) -> list[str]:
    """The vmIds of two machines that stand by, before each test."""
    return standing(cloud, 2)


def standing(cloud: Cloud, count: int) -> list[str]:
    def ready() -> bool:
        return bool(json.loads(cloud.skerry("status", "-o", "json"))["work"]["templates"]["standby"] == count)

    until(ready, 300, f"{count} machines stand by")
    return sorted(path.name for path in (cloud.state / "standby").iterdir())


def shown(cloud: Cloud, name: str) -> dict[str, str]:
    """A VM's properties."""
    return dict(json.loads(cloud.skerry("vm", "show", name, "-g", "warm", "-o", "json"))["properties"])


def test_two_vms_that_were_stood_by_for_share_nothing(cloud: Cloud, two: list[str]) -> None:
    for name in ("s1", "s2"):
        create(cloud, name)
        assert phases(cloud, name) == STOOD_BY
    assert sorted(shown(cloud, name)["vmId"] for name in ("s1", "s2")) == two
    told = [ask(cloud, name, IDENTITY).splitlines() for name in ("s1", "s2")]
    assert [lines[0] for lines in told] == ["s1", "s2"]
    assert [lines[2] for lines in told] == [shown(cloud, name)["vmId"] for name in ("s1", "s2")]
    for one, other in zip(*told, strict=True):
        assert one != other
    assert {ask(cloud, name, OF_THE_TEMPLATE) for name in ("s1", "s2")} == {"me\nme\n"}


def test_a_guest_that_reboots_by_itself_finds_its_own_hardware(cloud: Cloud) -> None:
    vm = shown(cloud, "s1")["vmId"]
    (process,) = qemus(vm)
    mac, boot = ask(cloud, "s1", "cat /sys/class/net/eth0/address; cat /proc/sys/kernel/random/boot_id").split()
    ask(cloud, "s1", "sudo systemctl reboot || true")

    def back() -> bool:
        try:
            return ask(cloud, "s1", "cat /proc/sys/kernel/random/boot_id").strip() != boot
        except AssertionError:
            return False

    until(back, 300, "it boots from its own disk")
    assert qemus(vm) == [process]
    assert ask(cloud, "s1", HARDWARE).split() == [vm, mac, vm.replace("-", "")[:20], "s1"]


def test_custom_data_runs_as_on_a_first_boot(cloud: Cloud, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_text("#!/bin/sh\necho ran >>/root/custom-data\n")
    create(cloud, "custom", "--custom-data", data)
    assert phases(cloud, "custom") == STOOD_BY
    until(lambda: "ran" in ask(cloud, "custom", "sudo cat /root/custom-data || true"), 240, "custom data runs")
    cloud.skerry("vm", "delete", "custom", "-g", "warm", "-y")


def test_one_that_does_not_answer_any_more_means_a_cold_start(cloud: Cloud, two: list[str]) -> None:
    for vm in two:
        for process in qemus(vm):
            os.kill(int(process.name), signal.SIGSTOP)
    create(cloud, "mute")
    assert shown(cloud, "mute")["vmId"] in two
    assert not phases(cloud, "mute")
    assert ask(cloud, "mute", "hostname") == "mute\n"
    assert logged(cloud, "a VM could not start warm; it starts cold")
    cloud.skerry("vm", "delete", "mute", "-g", "warm", "-y")
    for vm in two:
        for process in qemus(vm):
            os.kill(int(process.name), signal.SIGKILL)


def test_skerry_killed_while_one_becomes_a_vm_gives_the_vm_an_identity_all_the_same(
    cloud: Cloud, two: list[str]
) -> None:
    with creating(cloud, "killed") as (vm, _):
        os.kill(cloud.pid(), signal.SIGKILL)
    assert vm in two
    cloud.up(*ON)
    ready(cloud, "killed")
    assert ask(cloud, "killed", "hostname") == "killed\n"
    cloud.skerry("vm", "delete", "killed", "-g", "warm", "-y")


def test_none_outlives_skerry_however_it_ends(cloud: Cloud, two: list[str]) -> None:
    os.kill(cloud.pid(), signal.SIGKILL)
    assert all(map(qemus, two))
    cloud.up("--warm", "off")
    assert not any(map(qemus, two))
    assert not standing(cloud, 0)
    assert not list((cloud.state / "disks").glob("*.standby"))
    cloud.skerry("down", "--keep-vms")
    cloud.up(*ON)
    create(cloud, "hot")
    vms = standing(cloud, 2)
    cloud.skerry("down", "--keep-vms")
    assert not any(map(qemus, vms))
    cloud.up(*ON)
    create(cloud, "hotter")
