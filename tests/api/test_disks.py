"""Disks that a client makes by themselves."""

from typing import Any

import pytest
from tests.api.client import Arm

DISK = "resourceGroups/rg/providers/Microsoft.Compute/disks/data"


def body(sku: str | None = None, **properties: Any) -> dict[str, Any]:
    whole = {"location": "local", "properties": {"creationData": {"createOption": "empty"}, **properties}}
    return {**whole, "sku": {"name": sku}} if sku else whole


def test_a_disk_is_made_grown_and_deleted(arm: Arm) -> None:
    arm.group()
    arm.done(arm.put(DISK, body("standard_lrs", diskSizeGB=4)))
    disk = arm.get(DISK).body
    assert disk["sku"] == {"name": "Standard_LRS", "tier": "Standard"}
    assert disk["properties"]["diskState"] == "Unattached"
    assert disk["properties"]["creationData"] == {"createOption": "Empty"}
    assert disk["properties"]["encryption"] == {"type": "EncryptionAtRestWithPlatformKey"}
    arm.done(arm.put(DISK, {**disk, "properties": {**disk["properties"], "diskSizeGB": 8}}))
    assert arm.get(DISK).body["properties"]["diskSizeBytes"] == 8 << 30
    arm.done(arm.delete(DISK))
    assert arm.get(DISK).status == 404


@pytest.mark.parametrize(
    ("disk", "part"),
    [
        (body(), "diskSizeGB"),
        (body(diskSizeGB=0), ">= 1"),
        (body("UltraSSD_LRS", diskSizeGB=4), "sku.name"),
        (body(diskSizeGB=4, maxShares=2), "maxShares"),
        (body(diskSizeGB=4, networkAccessPolicy="DenyAll"), "use AllowAll"),
        (body(diskSizeGB=4, creationData={"createOption": "FromImage"}), "createOption 'Empty'"),
        ({**body(diskSizeGB=4), "zones": ["9"]}, "zones"),
    ],
)
def test_what_no_disk_can_be_is_refused_by_name(arm: Arm, disk: dict[str, Any], part: str) -> None:
    arm.group()
    answer = arm.put(DISK, disk)
    assert answer.status == 400
    assert part in answer.message
    assert arm.get(DISK).status == 404
