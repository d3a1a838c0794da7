"""Restore points: made, shown, put back to, and made new disks and VMs of."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.api.client import Answer, Arm

from skerry.hostspec import DiskSpec

COMPUTE = "resourceGroups/rg/providers/Microsoft.Compute"
COLLECTION = f"{COMPUTE}/restorePointCollections/kept"
POINT = f"{COLLECTION}/restorePoints/one"
VM = f"{COMPUTE}/virtualMachines/web"
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # what is refused reaches no database
FORK = f"{COMPUTE}/virtualMachines/second"


def _id(arm: Arm, path: str) -> str:
    return f"/subscriptions/{arm.subscription}/{path}"


def _collection(arm: Arm, *, memory: bool = False, vm: str = VM) -> Answer:
    tags = {"tags": {"skerry.memory": "on"}} if memory else {}
    body = {"location": "local", "properties": {"source": {"id": _id(arm, vm)}}, **tags}
    return arm.put(COLLECTION, body)


def _point(arm: Arm, *, memory: bool = False, path: str = POINT) -> dict[str, Any]:
    """A restore point of a new VM `web`."""
    if arm.get(VM).status == 404:
        arm.vm(arm.group())
    assert _collection(arm, memory=memory).status in (200, 201)
    arm.done(arm.put(path, {}))
    found: dict[str, Any] = arm.get(path).body
    return found


def _fork_body(arm: Arm, nic: str = "second-nic", **properties: Any) -> dict[str, Any]:
    body = arm.vm_body(arm.nic("resourceGroups/rg", nic), **properties)
    body["properties"]["storageProfile"]["imageReference"] = {"id": _id(arm, POINT)}
    body["properties"].pop("osProfile")
    return body


def _checkpoints(arm: Arm) -> list[str]:
    with arm.control.store.read() as work:
        return [checkpoint.id for checkpoint in work.hosts.spec("local").checkpoints]


def _reported(arm: Arm) -> bool:
    """Whether the host says that it has the one checkpoint."""
    (checkpoint,) = _checkpoints(arm)
    with arm.control.store.read() as work:
        return work.hosts.checkpoint("local", checkpoint) is not None


def test_a_collection_is_of_one_vm(arm: Arm) -> None:
    arm.vm(arm.group())
    answer = _collection(arm)
    assert answer.status == 201
    properties = answer.body["properties"]
    assert properties["source"] == {"id": _id(arm, VM), "location": "local"}
    assert properties["provisioningState"] == "Succeeded"
    assert properties["restorePointCollectionId"]
    assert arm.put(COLLECTION, answer.body).body["properties"] == properties
    tagged = arm.call("PATCH", COLLECTION, {"tags": {"a": "b"}})
    assert (tagged.status, tagged.body["tags"]) == (200, {"a": "b"})
    other = {"location": "local", "properties": {"source": {"id": _id(arm, FORK)}}}
    assert arm.put(COLLECTION, other).code == "PropertyChangeNotAllowed"
    listed = [arm.get(path).body["value"] for path in (COLLECTION.rpartition("/")[0], _list_all())]
    assert [[item["name"] for item in page] for page in listed] == [["kept"], ["kept"]]
    assert "restorePointCollections" in {item["type"].split("/")[1] for item in arm.get("resources").body["value"]}


def _list_all() -> str:
    return "providers/Microsoft.Compute/restorePointCollections"


@on_sqlite
@pytest.mark.parametrize(
    "source, code",
    [
        (None, "InvalidParameter"),
        (f"{COMPUTE}/virtualMachines/none", "InvalidResourceReference"),
        (f"{COMPUTE}/disks/none", "InvalidParameter"),
    ],
)
def test_a_collection_needs_a_vm(arm: Arm, source: str | None, code: str) -> None:
    arm.group()
    properties = {"source": {"id": _id(arm, source)}} if source else {}
    assert arm.put(COLLECTION, {"location": "local", "properties": properties}).code == code


def test_a_point_shows_what_the_vm_was(arm: Arm) -> None:
    arm.vm(arm.group(), osProfile=_profile_with_password(arm))
    _collection(arm)
    answer = arm.put(POINT, {"properties": {"consistencyMode": "crashconsistent"}})
    assert (answer.status, answer.body["properties"]["provisioningState"]) == (201, "Creating")
    arm.done(answer)
    point, vm = arm.get(POINT).body, arm.get(VM).body
    properties = point["properties"]
    assert (point["name"], point["type"]) == ("one", "Microsoft.Compute/restorePointCollections/restorePoints")
    assert properties["provisioningState"] == "Succeeded"
    assert properties["consistencyMode"] == "CrashConsistent"
    assert properties["timeCreated"]
    assert properties["skerry"]["memory"] is False
    source = properties["sourceMetadata"]
    assert source["vmId"] == vm["properties"]["vmId"]
    assert source["hardwareProfile"] == {"vmSize": "Standard_B1s"}
    assert source["osProfile"]["adminUsername"] == "me"
    assert "Passw0rd" not in str(point)
    disk = source["storageProfile"]["osDisk"]
    assert disk["managedDisk"]["id"] == vm["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"]
    assert (disk["diskSizeGB"], source["storageProfile"].get("dataDisks", [])) == (30, [])
    assert _checkpoints(arm) == [name for _, name in arm.host.checkpoints.calls]


def _profile_with_password(arm: Arm) -> dict[str, Any]:
    profile: dict[str, Any] = arm.vm_body("x")["properties"]["osProfile"]
    return {**profile, "adminPassword": "Passw0rd!Passw0rd"}


@on_sqlite
def test_disk_restore_points_are_read_one_by_one(arm: Arm) -> None:
    point = _point(arm)
    disk = arm.get(VM).body["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"]
    identifier = point["properties"]["sourceMetadata"]["storageProfile"]["osDisk"]["diskRestorePoint"]["id"]
    one = arm.get(identifier)
    assert (one.status, one.body["id"]) == (200, identifier)
    assert one.body["properties"]["sourceResourceId"] == disk
    assert one.body["properties"]["osType"] == "Linux"
    assert [item["id"] for item in arm.get(f"{POINT}/diskRestorePoints").body["value"]] == [identifier]
    assert arm.put(identifier, {}).status == 405
    assert arm.get(f"{COLLECTION}/restorePoints").code == "InvalidRequestUri"


@on_sqlite
def test_expand_shows_points_and_instance_view(arm: Arm) -> None:
    point = _point(arm)
    assert "restorePoints" not in arm.get(COLLECTION).body["properties"]
    shown = arm.get(f"{COLLECTION}?$expand=restorePoints").body["properties"]["restorePoints"]
    assert [item["id"] for item in shown] == [point["id"]]
    view = arm.get(f"{POINT}?$expand=instanceView").body["properties"]["instanceView"]
    assert view["statuses"][0]["code"] == "ProvisioningState/succeeded"
    assert view["diskRestorePoints"][0]["replicationStatus"]["completionPercent"] == 100
    assert arm.get(f"{POINT}?$expand=else").code == "InvalidParameter"


def test_memory_is_kept_where_the_tag_or_the_body_says_so(arm: Arm) -> None:
    point = _point(arm, memory=True)
    assert point["properties"]["skerry"]["memory"] is True
    assert point["properties"]["skerry"]["sizeBytes"] > 0
    assert point["properties"]["skerry"]["pauseSeconds"] > 0
    statuses = arm.get(f"{POINT}?$expand=instanceView").body["properties"]["instanceView"]["statuses"]
    assert [status["code"] for status in statuses] == ["ProvisioningState/succeeded", "SkerryMemory/kept"]
    for name, memory in (("yes", True), ("no", False)):
        path = f"{COLLECTION}/restorePoints/{name}"
        arm.done(arm.put(path, {"properties": {"skerry": {"memory": memory}}}))
        assert arm.get(path).body["properties"]["skerry"]["memory"] is memory


@on_sqlite
def test_memory_of_a_vm_that_does_not_run_is_refused(arm: Arm) -> None:
    arm.vm(arm.group())
    _collection(arm, memory=True)
    arm.done(arm.post(f"{VM}/powerOff"))
    answer = arm.put(POINT, {})
    assert (answer.status, answer.code) == (409, "OperationNotAllowed")
    assert "not running" in answer.message
    arm.done(arm.put(POINT, {"properties": {"skerry": {"memory": False}}}))
    arm.done(arm.post(f"{VM}/deallocate"))
    arm.done(arm.put(f"{COLLECTION}/restorePoints/two", {"properties": {"skerry": {"memory": False}}}))


@on_sqlite
@pytest.mark.parametrize(
    "properties, code",
    [
        ({"consistencyMode": "ApplicationConsistent"}, "InvalidParameter"),
        ({"consistencyMode": "FileSystemConsistent"}, "InvalidParameter"),
        ({"sourceRestorePoint": {"id": "/x"}}, "NotSupported"),
        ({"sourceMetadata": {"vmId": "x"}}, "NotSupported"),
        ({"excludeDisks": [{"id": "/subscriptions/x/resourceGroups/rg/providers/a/b/c"}]}, "InvalidParameter"),
        ({"instantAccessDurationMinutes": 60}, "InvalidRequestContent"),
    ],
)
def test_what_is_not_supported_is_refused(arm: Arm, properties: dict[str, Any], code: str) -> None:
    arm.vm(arm.group())
    _collection(arm)
    assert arm.put(POINT, {"properties": properties}).code == code
    assert arm.get(POINT).status == 404


@on_sqlite
def test_the_only_disk_cannot_be_left_out(arm: Arm) -> None:
    arm.vm(arm.group())
    _collection(arm)
    disk = arm.get(VM).body["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"]
    answer = arm.put(POINT, {"properties": {"excludeDisks": [{"id": disk}]}})
    assert answer.code == "InvalidParameter"
    assert "only disk" in answer.message


def test_a_point_never_changes(arm: Arm) -> None:
    point = _point(arm)
    again = arm.put(POINT, {})
    assert (again.status, again.body["properties"]) == (201, point["properties"])
    assert arm.put(POINT, {"properties": {"skerry": {"memory": True}}}).code == "OperationNotAllowed"
    assert arm.call("PATCH", POINT, {"tags": {"a": "b"}}).status == 409


def test_points_outlive_their_vm(arm: Arm) -> None:
    _point(arm)
    arm.done(arm.delete(VM))
    assert arm.get(POINT).status == 200
    assert arm.put(f"{COLLECTION}/restorePoints/two", {}).code == "ResourceNotFound"
    answer = arm.post(f"{POINT}/restore")
    assert (answer.status, answer.code) == (409, "OperationNotAllowed")
    arm.done(arm.delete(POINT))
    assert arm.get(POINT).status == 404
    assert _checkpoints(arm) == []
    assert arm.delete(POINT).status == 204


def test_a_collection_goes_with_its_points(arm: Arm) -> None:
    _point(arm)
    arm.done(arm.put(f"{COLLECTION}/restorePoints/two", {}))
    answer = arm.delete(COLLECTION)
    assert answer.status == 202
    arm.done(answer)
    assert (arm.get(COLLECTION).status, arm.get(POINT).status, _checkpoints(arm)) == (404, 404, [])
    assert arm.host.checkpoints.checkpoints() == []


def test_a_group_goes_with_all_of_them(arm: Arm) -> None:
    _point(arm, memory=True)
    arm.done(arm.put(FORK, _fork_body(arm)))
    arm.done(arm.delete("resourceGroups/rg"))
    assert _checkpoints(arm) == []


@on_sqlite
def test_a_point_that_cannot_be_made_leaves_nothing(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skerry.resources.compute.restore_point.steps.FAILING_SECONDS", 0.2)
    arm.vm(arm.group())
    _collection(arm)
    arm.host.checkpoints.fail_next += ["no space left on the host's disk"] * 9
    last = arm.wait(arm.put(POINT, {}))
    assert last.body["error"]["code"] == "RestorePointNotMade"
    assert "no space left" in last.body["error"]["message"]
    assert arm.get(POINT).body["properties"]["provisioningState"] == "Failed"
    assert _checkpoints(arm) == []
    assert arm.put(POINT, {}).code == "OperationNotAllowed"
    assert arm.post(f"{POINT}/restore").code == "ReferencedResourceNotProvisioned"
    arm.done(arm.delete(POINT))
    arm.host.checkpoints.fail_next.clear()
    arm.done(arm.put(POINT, {}))


def test_deleting_a_point_takes_over_from_making_it(arm: Arm) -> None:
    arm.vm(arm.group())
    _collection(arm)
    arm.host.checkpoints.gate.clear()
    making = arm.put(POINT, {})
    deleting = arm.delete(POINT)
    arm.host.checkpoints.gate.set()
    arm.done(deleting)
    assert arm.wait(making).body["status"] == "Canceled"
    assert _checkpoints(arm) == []


def test_a_vm_is_put_back(arm: Arm) -> None:
    _point(arm, memory=True)
    answer = arm.post(f"{POINT}/restore")
    assert answer.status == 202
    arm.done(answer)
    spec = arm.spec(VM)
    assert (spec.restore_from, spec.restore_generation) == (None, 1)  # it was: never again
    assert ("put_back", spec.id) in arm.host.checkpoints.calls
    assert arm.power(VM) == "running"
    arm.done(arm.post(f"{POINT}/restore"))
    assert arm.spec(VM).restore_generation == 2
    arm.done(arm.delete(POINT))


def test_a_stopped_vm_is_put_back_and_runs_if_memory_was_kept(arm: Arm) -> None:
    _point(arm, memory=True)
    plain = f"{COLLECTION}/restorePoints/plain"
    arm.done(arm.put(plain, {"properties": {"skerry": {"memory": False}}}))
    arm.done(arm.post(f"{VM}/powerOff"))
    arm.done(arm.post(f"{plain}/restore"))
    assert arm.power(VM) == "stopped"
    arm.done(arm.post(f"{POINT}/restore"))
    assert arm.power(VM) == "running"


def test_a_vm_that_moves_is_not_put_back_once_more(arm: Arm) -> None:
    _point(arm, memory=True)
    arm.done(arm.post(f"{POINT}/restore"))
    arm.done(arm.post(f"{VM}/deallocate"))
    answer = arm.post(f"{POINT}/restore")
    assert (answer.status, answer.code) == (409, "OperationNotAllowed")
    assert "Start it first" in answer.message
    arm.done(arm.post(f"{VM}/start"))
    assert (arm.spec(VM).restore_from, arm.spec(VM).restore_generation) == (None, 0)
    assert [verb for verb, _ in arm.host.checkpoints.calls].count("put_back") == 1


@on_sqlite
def test_a_vm_of_another_size_is_not_put_back_to_memory(arm: Arm) -> None:
    _point(arm, memory=True)
    plain = f"{COLLECTION}/restorePoints/plain"
    arm.done(arm.put(plain, {"properties": {"skerry": {"memory": False}}}))
    arm.done(arm.call("PATCH", VM, {"properties": {"hardwareProfile": {"vmSize": "Standard_B2s"}}}))
    answer = arm.post(f"{POINT}/restore")
    assert (answer.status, answer.code) == (409, "OperationNotAllowed")
    assert "Resize it to Standard_B1s" in answer.message
    arm.done(arm.post(f"{plain}/restore"))


@on_sqlite
def test_a_restore_that_fails_is_taken_back(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skerry.resources.compute.virtual_machine.steps.FAILING_SECONDS", 0.2)
    _point(arm, memory=True)
    arm.host.compute.fail_next += ["the host has no memory left"] * 40
    last = arm.wait(arm.post(f"{POINT}/restore"))
    assert last.body["error"]["code"] == "VMRestoreFailed"
    assert "no memory left" in last.body["error"]["message"]
    assert arm.spec(VM).restore_generation == 0
    arm.host.compute.fail_next.clear()
    _until(lambda: arm.power(VM) == "running", 15)
    arm.done(arm.post(f"{POINT}/restore"))
    assert arm.spec(VM).restore_generation == 2


def test_a_disk_is_made_of_a_disk_restore_point(arm: Arm) -> None:
    point = _point(arm)
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
    assert spec.origin is not None and spec.origin.checkpoint == _checkpoints(arm)[0]
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
    point = _point(arm)
    disk = point["properties"]["sourceMetadata"]["storageProfile"]["osDisk"]["diskRestorePoint"]["id"]
    source = creation.get("sourceResourceId", "").replace("DISK", disk).replace("POINT", point["id"])
    properties = {"creationData": {**creation, **({"sourceResourceId": source} if source else {})}}
    body = {"location": "local", "properties": {**properties, **({"diskSizeGB": size} if size else {})}}
    assert arm.put(f"{COMPUTE}/disks/back", body).code == code


def test_a_vm_is_forked(arm: Arm) -> None:
    _point(arm, memory=True)
    answer = arm.put(FORK, _fork_body(arm))
    assert answer.status == 201, answer.body
    with arm.control.store.read() as work:
        row = work.resources.get(_id(arm, FORK).lower())
        assert row is not None and row.private["fork"]["checkpoint"] == _checkpoints(arm)[0]
    arm.done(answer)
    first, second = arm.spec(VM), arm.spec(FORK)
    assert (first.id != second.id, first.macs != second.macs) == (True, True)
    assert ("fork", second.id) in arm.host.checkpoints.calls
    assert (second.fork_of, second.warm) == (None, False)  # it has: never again
    assert second.provisioning is not None and first.provisioning is not None
    assert second.provisioning.hostname == "second"
    assert second.provisioning.ssh_public_keys == first.provisioning.ssh_public_keys
    shown = arm.get(FORK).body["properties"]
    assert shown["storageProfile"]["imageReference"] == {"id": _id(arm, POINT)}
    assert shown["osProfile"]["computerName"] == "second"
    arm.done(arm.delete(POINT))
    arm.done(arm.post(f"{FORK}/deallocate"))
    arm.done(arm.post(f"{FORK}/start"))


def test_a_point_is_kept_while_a_vm_is_forked_from_it(arm: Arm) -> None:
    _point(arm, memory=True)
    body = _fork_body(arm)
    arm.host.compute.never_ready = True
    arm.host.checkpoints.fail_next.append("the guest did not answer")  # it boots instead
    forking = arm.put(FORK, body)
    _until(lambda: arm.power(FORK) == "running")
    for path in (POINT, COLLECTION):
        refused = arm.delete(path)
        assert (refused.status, refused.code) == (409, "OperationNotAllowed")
    arm.done(arm.delete(FORK))
    assert arm.wait(forking).body["status"] == "Canceled"
    arm.done(arm.delete(COLLECTION))


def _until(condition: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@on_sqlite
def test_what_a_fork_cannot_be_is_refused(arm: Arm) -> None:
    _point(arm, memory=True)

    def refused(changes: dict[str, Any], text: str) -> None:
        body = _fork_body(arm)
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
    refused({"storageProfile.imageReference.id": f"{_id(arm, POINT)}x"}, "was not found")


@on_sqlite
def test_a_point_without_memory_is_no_image(arm: Arm) -> None:
    _point(arm)
    answer = arm.put(FORK, _fork_body(arm))
    assert (answer.status, answer.code) == (400, "InvalidParameter")
    assert "skerry.memory=on" in answer.message
    assert arm.get(FORK).status == 404


@on_sqlite
def test_a_point_that_its_host_has_lost_is_never_made_again(arm: Arm) -> None:
    _point(arm, memory=True)
    arm.host.checkpoints._made.clear()
    arm.host.agent._checkpointing._seen = {}
    with arm.control.store.write() as work:  # any change of the spec makes the agent report
        work.hosts.put("local", DiskSpec("0" * 32, 1 << 30, present=False))
    _until(lambda: not _reported(arm))
    assert arm.post(f"{POINT}/restore").code == "RestorePointLost"
    assert arm.put(FORK, _fork_body(arm)).code == "RestorePointLost"
    assert [verb for verb, _ in arm.host.checkpoints.calls] == ["make"]
    with arm.control.store.write() as work:
        work.hosts.drop("local", "disk", "0" * 32)
    arm.done(arm.delete(POINT))


@on_sqlite
def test_the_activity_log_tells(arm: Arm) -> None:
    _point(arm, memory=True)
    arm.done(arm.post(f"{POINT}/restore"))
    since = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = (
        f"providers/Microsoft.Insights/eventtypes/management/values?$filter=eventTimestamp ge '{since}' "
        f"and resourceUri eq '{_id(arm, POINT)}'"
    )
    events = {
        (event["operationName"]["value"].rpartition("restorePoints/")[2], event["status"]["value"])
        for event in arm.get(path).body["value"]
    }
    assert events == {(name, status) for name in ("write", "restore/action") for status in ("Accepted", "Succeeded")}


@on_sqlite
def test_a_template_keeps_and_forks(arm: Arm) -> None:
    arm.vm(arm.group())
    fork = arm.vm_body(arm.nic("resourceGroups/rg", "second-nic"))
    fork["properties"].pop("osProfile")
    names = "'Microsoft.Compute/restorePointCollections/restorePoints', 'kept', 'one'"
    fork["properties"]["storageProfile"]["imageReference"] = {"id": f"[resourceId({names})]"}
    kept = {"location": "local", "properties": {"source": {"id": _id(arm, VM)}}, "tags": {"skerry.memory": "on"}}
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
