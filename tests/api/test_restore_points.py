"""Restore points: made, shown, deleted, and put back to."""

from datetime import UTC, datetime, timedelta
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
    is_reported,
    make_point,
    on_sqlite,
    put_collection,
    until,
)

from skerry.hostspec import DiskSpec


def test_a_collection_is_of_one_vm(arm: Arm) -> None:
    arm.vm(arm.group())
    answer = put_collection(arm)
    assert answer.status == 201
    properties = answer.body["properties"]
    assert properties["source"] == {"id": identifier(arm, VM), "location": "local"}
    assert properties["provisioningState"] == "Succeeded"
    assert properties["restorePointCollectionId"]
    assert arm.put(COLLECTION, answer.body).body["properties"] == properties
    tagged = arm.call("PATCH", COLLECTION, {"tags": {"a": "b"}})
    assert (tagged.status, tagged.body["tags"]) == (200, {"a": "b"})
    other = {"location": "local", "properties": {"source": {"id": identifier(arm, FORK)}}}
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
    properties = {"source": {"id": identifier(arm, source)}} if source else {}
    assert arm.put(COLLECTION, {"location": "local", "properties": properties}).code == code


def test_a_point_shows_what_the_vm_was(arm: Arm) -> None:
    arm.vm(arm.group(), osProfile=_profile_with_password(arm))
    put_collection(arm)
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
    assert checkpoints(arm) == [name for _, name in arm.host.checkpoints.calls]


def _profile_with_password(arm: Arm) -> dict[str, Any]:
    profile: dict[str, Any] = arm.vm_body("x")["properties"]["osProfile"]
    return {**profile, "adminPassword": "Passw0rd!Passw0rd"}


@on_sqlite
def test_disk_restore_points_are_read_one_by_one(arm: Arm) -> None:
    point = make_point(arm)
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
    point = make_point(arm)
    assert "restorePoints" not in arm.get(COLLECTION).body["properties"]
    shown = arm.get(f"{COLLECTION}?$expand=restorePoints").body["properties"]["restorePoints"]
    assert [item["id"] for item in shown] == [point["id"]]
    view = arm.get(f"{POINT}?$expand=instanceView").body["properties"]["instanceView"]
    assert view["statuses"][0]["code"] == "ProvisioningState/succeeded"
    assert view["diskRestorePoints"][0]["replicationStatus"]["completionPercent"] == 100
    assert arm.get(f"{POINT}?$expand=else").code == "InvalidParameter"


def test_memory_is_kept_where_the_tag_or_the_body_says_so(arm: Arm) -> None:
    point = make_point(arm, memory=True)
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
    put_collection(arm, memory=True)
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
    put_collection(arm)
    assert arm.put(POINT, {"properties": properties}).code == code
    assert arm.get(POINT).status == 404


@on_sqlite
def test_the_only_disk_cannot_be_left_out(arm: Arm) -> None:
    arm.vm(arm.group())
    put_collection(arm)
    disk = arm.get(VM).body["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"]
    answer = arm.put(POINT, {"properties": {"excludeDisks": [{"id": disk}]}})
    assert answer.code == "InvalidParameter"
    assert "only disk" in answer.message


def test_a_point_never_changes(arm: Arm) -> None:
    point = make_point(arm)
    again = arm.put(POINT, {})
    assert (again.status, again.body["properties"]) == (201, point["properties"])
    assert arm.put(POINT, {"properties": {"skerry": {"memory": True}}}).code == "OperationNotAllowed"
    assert arm.call("PATCH", POINT, {"tags": {"a": "b"}}).status == 409


def test_points_outlive_their_vm(arm: Arm) -> None:
    make_point(arm)
    arm.done(arm.delete(VM))
    assert arm.get(POINT).status == 200
    assert arm.put(f"{COLLECTION}/restorePoints/two", {}).code == "ResourceNotFound"
    answer = arm.post(f"{POINT}/restore")
    assert (answer.status, answer.code) == (409, "OperationNotAllowed")
    arm.done(arm.delete(POINT))
    assert arm.get(POINT).status == 404
    assert checkpoints(arm) == []
    assert arm.delete(POINT).status == 204


def test_a_collection_goes_with_its_points(arm: Arm) -> None:
    make_point(arm)
    arm.done(arm.put(f"{COLLECTION}/restorePoints/two", {}))
    answer = arm.delete(COLLECTION)
    assert answer.status == 202
    arm.done(answer)
    assert (arm.get(COLLECTION).status, arm.get(POINT).status, checkpoints(arm)) == (404, 404, [])
    assert arm.host.checkpoints.checkpoints() == []


def test_a_group_goes_with_all_of_them(arm: Arm) -> None:
    make_point(arm, memory=True)
    arm.done(arm.put(FORK, fork_body(arm)))
    arm.done(arm.delete("resourceGroups/rg"))
    assert checkpoints(arm) == []


@on_sqlite
def test_a_point_that_cannot_be_made_leaves_nothing(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skerry.resources.compute.restore_point.steps.FAILING_SECONDS", 0.2)
    arm.vm(arm.group())
    put_collection(arm)
    arm.host.checkpoints.fail_next += ["no space left on the host's disk"] * 9
    last = arm.wait(arm.put(POINT, {}))
    assert last.body["error"]["code"] == "RestorePointNotMade"
    assert "no space left" in last.body["error"]["message"]
    assert arm.get(POINT).body["properties"]["provisioningState"] == "Failed"
    assert checkpoints(arm) == []
    assert arm.put(POINT, {}).code == "OperationNotAllowed"
    assert arm.post(f"{POINT}/restore").code == "ReferencedResourceNotProvisioned"
    arm.done(arm.delete(POINT))
    arm.host.checkpoints.fail_next.clear()
    arm.done(arm.put(POINT, {}))


def test_deleting_a_point_takes_over_from_making_it(arm: Arm) -> None:
    arm.vm(arm.group())
    put_collection(arm)
    arm.host.checkpoints.gate.clear()
    making = arm.put(POINT, {})
    deleting = arm.delete(POINT)
    arm.host.checkpoints.gate.set()
    arm.done(deleting)
    assert arm.wait(making).body["status"] == "Canceled"
    assert checkpoints(arm) == []


def test_a_vm_is_put_back(arm: Arm) -> None:
    make_point(arm, memory=True)
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
    make_point(arm, memory=True)
    plain = f"{COLLECTION}/restorePoints/plain"
    arm.done(arm.put(plain, {"properties": {"skerry": {"memory": False}}}))
    arm.done(arm.post(f"{VM}/powerOff"))
    arm.done(arm.post(f"{plain}/restore"))
    assert arm.power(VM) == "stopped"
    arm.done(arm.post(f"{POINT}/restore"))
    assert arm.power(VM) == "running"


def test_a_vm_that_moves_is_not_put_back_once_more(arm: Arm) -> None:
    make_point(arm, memory=True)
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
    make_point(arm, memory=True)
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
    make_point(arm, memory=True)
    arm.host.compute.fail_next += ["the host has no memory left"] * 40
    last = arm.wait(arm.post(f"{POINT}/restore"))
    assert last.body["error"]["code"] == "VMRestoreFailed"
    assert "no memory left" in last.body["error"]["message"]
    assert arm.spec(VM).restore_generation == 0
    arm.host.compute.fail_next.clear()
    until(lambda: arm.power(VM) == "running", 15)
    arm.done(arm.post(f"{POINT}/restore"))
    assert arm.spec(VM).restore_generation == 2


@on_sqlite
def test_a_point_that_its_host_has_lost_is_never_made_again(arm: Arm) -> None:
    make_point(arm, memory=True)
    arm.host.checkpoints._made.clear()
    arm.host.agent._checkpointing._seen = {}
    with arm.control.store.write() as work:  # any change of the spec makes the agent report
        work.hosts.put("local", DiskSpec("0" * 32, 1 << 30, present=False))
    until(lambda: not is_reported(arm))
    assert arm.post(f"{POINT}/restore").code == "RestorePointLost"
    assert arm.put(FORK, fork_body(arm)).code == "RestorePointLost"
    assert [verb for verb, _ in arm.host.checkpoints.calls] == ["make"]
    with arm.control.store.write() as work:
        work.hosts.drop("local", "disk", "0" * 32)
    arm.done(arm.delete(POINT))


@on_sqlite
def test_the_activity_log_tells(arm: Arm) -> None:
    make_point(arm, memory=True)
    arm.done(arm.post(f"{POINT}/restore"))
    since = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = (
        f"providers/Microsoft.Insights/eventtypes/management/values?$filter=eventTimestamp ge '{since}' "
        f"and resourceUri eq '{identifier(arm, POINT)}'"
    )
    events = {
        (event["operationName"]["value"].rpartition("restorePoints/")[2], event["status"]["value"])
        for event in arm.get(path).body["value"]
    }
    assert events == {(name, status) for name in ("write", "restore/action") for status in ("Accepted", "Succeeded")}
