"""New disks and VMs made of restore points."""

from typing import Any

import pytest
from tests.api.client import Arm
from tests.api.points import (
    COLLECTION,
    COMPUTE,
    FORK,
    POINT,
    VM,
    checkpoints,
    fork_body,
    identifier,
    make_point,
    on_sqlite,
    until,
)


def test_a_disk_is_made_of_a_disk_restore_point(arm: Arm) -> None:
    point = make_point(arm)
    source = point["properties"]["sourceMetadata"]["storageProfile"]["osDisk"]["diskRestorePoint"]["id"]
    path = f"{COMPUTE}/disks/back"
    body = {
        "location": "local",
        "properties": {"creationData": {"createOption": "Restore", "sourceResourceId": source}},
    }
    arm.done(arm.put(path, body))
    disk = arm.get(path).body
    assert (disk["properties"]["diskSizeGB"], disk["properties"]["osType"]) == (30, "Linux")
    assert disk["properties"]["creationData"] == {"createOption": "Restore", "sourceResourceId": source}
    with arm.control.store.read() as work:
        (spec,) = [disk for disk in work.hosts.spec("local").disks if disk.origin]
    assert spec.origin is not None and spec.origin.checkpoint == checkpoints(arm)[0]
    vm = arm.vm_body(arm.nic("resourceGroups/rg", "second-nic"))
    vm["properties"].pop("osProfile")
    vm["properties"]["storageProfile"] = {
        "osDisk": {"createOption": "Attach", "managedDisk": {"id": disk["id"]}, "osType": "Linux"}
    }
    arm.done(arm.put(FORK, vm))
    assert arm.power(FORK) == "running"
    arm.done(arm.delete(POINT))


@on_sqlite
@pytest.mark.parametrize(
    "creation, size, code",
    [
        ({"createOption": "Restore"}, None, "InvalidParameter"),
        ({"createOption": "Restore", "sourceResourceId": "POINT"}, None, "InvalidParameter"),
        (
            {"createOption": "Restore", "sourceResourceId": "POINT/diskRestorePoints/none"},
            None,
            "InvalidResourceReference",
        ),
        ({"createOption": "Restore", "sourceResourceId": "DISK"}, 1, "InvalidParameter"),
        ({"createOption": "Empty", "sourceResourceId": "DISK"}, 1, "InvalidParameter"),
    ],
)
def test_a_bad_source_of_a_disk_is_refused(arm: Arm, creation: dict[str, str], size: int | None, code: str) -> None:
    point = make_point(arm)
    disk = point["properties"]["sourceMetadata"]["storageProfile"]["osDisk"]["diskRestorePoint"]["id"]
    source = creation.get("sourceResourceId", "").replace("DISK", disk).replace("POINT", point["id"])
    properties = {"creationData": {**creation, **({"sourceResourceId": source} if source else {})}}
    body = {"location": "local", "properties": {**properties, **({"diskSizeGB": size} if size else {})}}
    assert arm.put(f"{COMPUTE}/disks/back", body).code == code


def test_a_vm_is_forked(arm: Arm) -> None:
    make_point(arm, memory=True)
    answer = arm.put(FORK, fork_body(arm))
    assert answer.status == 201, answer.body
    with arm.control.store.read() as work:
        row = work.resources.get(identifier(arm, FORK).lower())
        assert row is not None and row.private["fork"]["checkpoint"] == checkpoints(arm)[0]
    arm.done(answer)
    first, second = arm.spec(VM), arm.spec(FORK)
    assert (first.id != second.id, first.macs != second.macs) == (True, True)
    assert ("fork", second.id) in arm.host.checkpoints.calls
    assert (second.fork_of, second.warm) == (None, False)  # it has: never again
    assert second.provisioning is not None and first.provisioning is not None
    assert second.provisioning.hostname == "second"
    assert second.provisioning.ssh_public_keys == first.provisioning.ssh_public_keys
    shown = arm.get(FORK).body["properties"]
    assert shown["storageProfile"]["imageReference"] == {"id": identifier(arm, POINT)}
    assert shown["osProfile"]["computerName"] == "second"
    arm.done(arm.delete(POINT))
    arm.done(arm.post(f"{FORK}/deallocate"))
    arm.done(arm.post(f"{FORK}/start"))


def test_a_point_is_kept_while_a_vm_is_forked_from_it(arm: Arm) -> None:
    make_point(arm, memory=True)
    body = fork_body(arm)
    arm.host.compute.never_ready = True
    arm.host.checkpoints.fail_next.append("the guest did not answer")  # it boots instead
    forking = arm.put(FORK, body)
    until(lambda: arm.power(FORK) == "running")
    for path in (POINT, COLLECTION):
        refused = arm.delete(path)
        assert (refused.status, refused.code) == (409, "OperationNotAllowed")
    arm.done(arm.delete(FORK))
    assert arm.wait(forking).body["status"] == "Canceled"
    arm.done(arm.delete(COLLECTION))


@on_sqlite
def test_what_a_fork_cannot_be_is_refused(arm: Arm) -> None:
    make_point(arm, memory=True)

    def refused(changes: dict[str, Any], text: str) -> None:
        body = fork_body(arm)
        for path, value in changes.items():
            place, (*way, last) = body["properties"], path.split(".")
            for name in way:
                place = place[name]
            place[last] = value
        answer = arm.put(FORK, body)
        assert (answer.status, text in answer.message) == (400, True), answer.body

    refused({"hardwareProfile.vmSize": "Standard_B2s"}, "Ask for Standard_B1s")
    refused({"storageProfile.osDisk.diskSizeGB": 64}, "30 GB")
    refused({"osProfile": {"computerName": "x", "adminUsername": "you"}}, "computerName only")
    refused({"osProfile": {"customData": "YQ=="}}, "computerName only")
    other = [{"id": arm.nic("resourceGroups/rg", name), "properties": {"primary": name == "a"}} for name in ("a", "b")]
    refused({"networkProfile.networkInterfaces": other}, "1 network interfaces")
    refused({"storageProfile.imageReference.id": f"{identifier(arm, POINT)}x"}, "was not found")


@on_sqlite
def test_a_point_without_memory_is_no_image(arm: Arm) -> None:
    make_point(arm)
    answer = arm.put(FORK, fork_body(arm))
    assert (answer.status, answer.code) == (400, "InvalidParameter")
    assert "skerry.memory=on" in answer.message
    assert arm.get(FORK).status == 404


@on_sqlite
def test_a_template_keeps_and_forks(arm: Arm) -> None:
    arm.vm(arm.group())
    fork = arm.vm_body(arm.nic("resourceGroups/rg", "second-nic"))
    fork["properties"].pop("osProfile")
    names = "'Microsoft.Compute/restorePointCollections/restorePoints', 'kept', 'one'"
    fork["properties"]["storageProfile"]["imageReference"] = {"id": f"[resourceId({names})]"}
    kept = {"location": "local", "properties": {"source": {"id": identifier(arm, VM)}}, "tags": {"skerry.memory": "on"}}
    resources = [
        {"type": "Microsoft.Compute/restorePointCollections", "name": "kept", **kept},
        {
            "type": "Microsoft.Compute/restorePointCollections/restorePoints",
            "name": "kept/one",
            "properties": {},
            "dependsOn": ["kept"],
        },
        {
            "type": "Microsoft.Compute/virtualMachines",
            "name": "second",
            "dependsOn": [f"[resourceId({names})]"],
            **fork,
        },
    ]
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [{"apiVersion": "2025-04-01", **resource} for resource in resources],
    }
    body = {"properties": {"mode": "Incremental", "template": template}}
    path = "resourceGroups/rg/providers/Microsoft.Resources/deployments/forks"
    for _ in range(2):  # the same again changes nothing
        arm.done(arm.put(path, body))
        assert arm.power(FORK) == "running"
    assert [verb for verb, _ in arm.host.checkpoints.calls] == ["make", "fork"]
