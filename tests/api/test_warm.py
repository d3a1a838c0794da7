"""Templates are ordered by a POST, made by the host, and shown with what they take."""

import time
from typing import Any

import pytest
from msgspec.structs import replace
from tests.api.client import Arm

from skerry.host.storage.fake import DEBIAN_12
from skerry.hostspec import StandbyObserved, mac_for

TEMPLATES = "providers/Skerry.Admin/templates"


def ordered(arm: Arm, **changes: str) -> dict[str, Any]:
    """The template as it is shown once the order was carried out."""
    answer = arm.call("POST", TEMPLATES, {"image": "Debian12", "size": "Standard_B1s", **changes})
    assert answer.status == 202
    ((host, number),) = answer.body["orders"].items()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for one in arm.call("GET", TEMPLATES).body["value"]:
            if (one["id"], one["host"]) == (answer.body["id"], host) and one["order"] >= number:
                return dict(one)
        time.sleep(0.02)
    raise AssertionError("the order was not carried out")


def test_an_order_is_carried_out_once(arm: Arm) -> None:
    found = ordered(arm)
    assert (found["state"], found["order"]) == ("ready", 1)
    assert "Standard_B1s" in found["sizes"]
    again = ordered(arm, image="debian:debian-12:12-gen2:latest")
    assert (again["id"], again["order"]) == (found["id"], 2)
    status = arm.call("GET", "providers/Skerry.Admin/status").body["templates"]
    assert status["count"] == 1
    assert 0 < status["diskBytes"] < status["diskLimitBytes"]


@pytest.mark.parametrize("name", ["Debian12", "debian-12"])
def test_a_name_means_the_image_that_a_vm_would_be_made_of(arm: Arm, name: str) -> None:
    """Not the one whose version is larger as text."""
    older, newer = (
        replace(DEBIAN_12, id=f"debian-12-{letter}", version=f"0.20261122.{number}")
        for letter, number in (("b", 9), ("a", 10))
    )
    arm.host.storage.image_list = [older, newer]
    versions = "providers/Microsoft.Compute/locations/local/publishers/Debian/artifacttypes/vmimage/offers/debian-12"
    end = time.monotonic() + 20
    while len(arm.get(f"{versions}/skus/12-gen2/versions").body) < 2:
        assert time.monotonic() < end, "the host reported no new image"
        time.sleep(0.02)
    assert ordered(arm, image=name)["image"] == newer.id
    assert ordered(arm, image=older.id)["image"] == older.id


def test_one_that_can_t_be_made_says_why(arm: Arm) -> None:
    arm.host.warm.trouble = "memory is short"
    assert [ordered(arm)[name] for name in ("state", "message")] == ["failed", "memory is short"]


class Standing:
    """Machines said to stand by for VMs of Debian 12 with one size."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self.template = ordered(arm)["id"]
        arm.group()

    def by(self, *vms: str) -> None:
        """Until the control plane knows of these."""
        self.arm.host.warm.ready = [StandbyObserved(vm, self.template) for vm in vms]
        end = time.monotonic() + 20
        while self.arm.get("providers/Skerry.Admin/status").body["templates"]["standby"] != len(vms):
            assert time.monotonic() < end, "the host reported nothing"
            time.sleep(0.02)


GROUP = "resourceGroups/rg"
VM_IDS = [f"{digit * 8}-1111-4111-8111-111111111111" for digit in "abc"]


@pytest.fixture
def standing(arm: Arm) -> Standing:
    return Standing(arm)


def made(arm: Arm, name: str, **changes: Any) -> str:
    """The vmId of a new VM with a NIC of its own, unless told otherwise."""
    return vm_id(arm, arm.vm(GROUP, name, **changes))


def vm_id(arm: Arm, vm: str) -> str:
    return str(arm.get(vm).body["properties"]["vmId"])


def test_new_vms_get_the_ids_of_machines_that_stand_by_each_once(arm: Arm, standing: Standing) -> None:
    standing.by(*VM_IDS[:2])
    ids = [made(arm, name) for name in ("one", "two", "three")]
    assert ids[:2] == VM_IDS[:2]
    assert ids[2] not in VM_IDS
    assert [spec.macs for spec in arm.specs() if spec.id == VM_IDS[0]] == [(mac_for(VM_IDS[0]),)]


def test_a_change_of_a_vm_keeps_the_machine_its_own(arm: Arm, standing: Standing) -> None:
    standing.by(VM_IDS[0])
    vm = arm.vm(GROUP, "one")
    assert vm_id(arm, vm) == VM_IDS[0]
    arm.done(arm.put(vm, {**arm.get(vm).body, "tags": {"changed": "yes"}}))
    assert made(arm, "two") != VM_IDS[0]


def test_they_are_for_vms_that_may_start_warm_and_their_nics_first_ones(arm: Arm, standing: Standing) -> None:
    standing.by(VM_IDS[0])
    nics = {"networkInterfaces": [{"id": arm.nic(GROUP, "used")}]}
    larger = arm.vm(GROUP, "larger", networkProfile=nics, hardwareProfile={"vmSize": "Standard_B2s"})
    assert vm_id(arm, larger) != VM_IDS[0]
    arm.done(arm.delete(larger))
    assert made(arm, "again", networkProfile=nics) != VM_IDS[0]
    arm.put(GROUP, {"location": "local", "tags": {"skerry.warmStart": "off"}})
    assert made(arm, "cold") != VM_IDS[0]
    arm.put(GROUP, {"location": "local"})
    assert made(arm, "warm") == VM_IDS[0]


def test_what_isn_t_here_is_refused(arm: Arm) -> None:
    for change, code in (({"image": "windows"}, "ImageNotFound"), ({"size": "Huge"}, "InvalidParameter")):
        answer = arm.call("POST", TEMPLATES, {"image": "Debian12", "size": "Standard_B1s", **change})
        assert answer.body["error"]["code"] == code
    assert arm.call("PUT", TEMPLATES, {}).status == 405
