"""VMs on the fake host: life, power, what can't be changed, failures with causes, and what a delete takes along."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.api.client import KEY, Arm

VMS = "resourceGroups/rg/providers/Microsoft.Compute/virtualMachines"
NETWORK = "resourceGroups/rg/providers/Microsoft.Network"


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for what the host does by itself."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def private_id(arm: Arm, vm: str) -> str:
    return str(arm.get(vm).body["properties"]["vmId"])


def test_a_vm_is_created_and_shown(arm: Arm) -> None:
    vm = arm.vm(arm.group())
    body = arm.get(vm).body
    properties = body["properties"]
    assert properties["provisioningState"] == "Succeeded"
    assert properties["hardwareProfile"] == {"vmSize": "Standard_B1s"}
    assert properties["osProfile"]["computerName"] == "web"
    assert properties["storageProfile"]["imageReference"]["exactVersion"] != "latest"
    assert properties["storageProfile"]["osDisk"]["diskSizeGB"] == 30
    disk = arm.get(properties["storageProfile"]["osDisk"]["managedDisk"]["id"]).body
    assert (disk["managedBy"], disk["properties"]["diskState"]) == (body["id"], "Attached")
    nic = arm.get(properties["networkProfile"]["networkInterfaces"][0]["id"]).body
    assert nic["properties"]["virtualMachine"]["id"] == body["id"]


def test_what_azures_clients_look_for_is_shown(arm: Arm) -> None:
    properties = arm.get(arm.vm(arm.group())).body["properties"]
    assert properties["storageProfile"]["dataDisks"] == []
    assert properties["networkProfile"]["networkInterfaces"][0]["properties"]["primary"] is True


def test_empty_tags_are_shown_only_where_they_were_given(arm: Arm) -> None:
    nic = arm.nic(arm.group())
    arm.done(arm.put(f"{VMS}/web", {**arm.vm_body(nic), "tags": {}}))
    assert arm.get(f"{VMS}/web").body["tags"] == {}
    assert "tags" not in arm.get(nic).body


@pytest.mark.parametrize(
    ("properties", "part"),
    [
        ({"priority": "Spot"}, "'Spot' of 'properties.priority' is not supported: use Regular"),
        ({"additionalCapabilities": {"hibernationEnabled": True}}, "hibernationEnabled' is not supported: use false"),
        ({"storageProfile": {"dataDisks": [{"lun": 0}], "osDisk": {"createOption": "FromImage"}}}, "data disks"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(arm: Arm, properties: dict[str, Any], part: str) -> None:
    answer = arm.put(f"{VMS}/web", arm.vm_body(arm.nic(arm.group()), **properties))
    assert answer.status == 400
    assert part in answer.message


def test_the_instance_view_has_exactly_two_statuses(arm: Arm) -> None:
    vm = arm.vm(arm.group(), diagnosticsProfile={"bootDiagnostics": {"enabled": True}})
    view = arm.get(f"{vm}?$expand=instanceView").body["properties"]["instanceView"]
    assert [status["code"] for status in view["statuses"]] == ["ProvisioningState/succeeded", "PowerState/running"]
    assert view["bootDiagnostics"] == {}
    assert view["vmAgent"]["statuses"][0]["displayStatus"] == "Ready"
    assert arm.get(f"{vm}/instanceView").body == view
    assert "instanceView" not in arm.get(vm).body["properties"]


def test_lists_show_how_vms_run_and_why(arm: Arm) -> None:
    group = arm.group()
    vms = [arm.vm(group, name) for name in ("one", "two")]
    arm.host.compute.crash(arm.spec(vms[1]).id)
    until(lambda: arm.power(vms[1]) == "stopped")
    for path in (VMS, "providers/Microsoft.Compute/virtualMachines"):
        for query in ("$expand=instanceView", "statusOnly=true"):
            found = arm.get(f"{path}?{query}").body["value"]
            views = [body["properties"]["instanceView"] for body in found]
            assert views == [arm.get(f"{vm}/instanceView").body for vm in vms]
            assert "message" not in views[0]["statuses"][1]
            assert views[1]["statuses"][1]["message"] == "the QEMU process ended unexpectedly"
        link = arm.get(f"{path}?statusOnly=true&$top=1").body["nextLink"]
        assert "instanceView" in arm.get(link).body["value"][0]["properties"]
        assert "instanceView" not in arm.get(path).body["value"][0]["properties"]
        assert arm.get(f"{path}?$expand=userData").code == "InvalidParameter"


def test_power_goes_round(arm: Arm) -> None:
    vm = arm.vm(arm.group())
    for action, power in [
        ("powerOff", "stopped"),
        ("start", "running"),
        ("powerOff?skipShutdown=true", "stopped"),
        ("start", "running"),
        ("restart", "running"),
        ("deallocate", "deallocated"),
        ("start", "running"),
        ("redeploy", "running"),
        ("reapply", "running"),
    ]:
        answer = arm.post(f"{vm}/{action}")
        assert answer.status == 202, answer.body
        arm.done(answer)
        assert arm.power(vm) == power, action


def test_deallocate_gives_back_the_host_and_keeps_disk_and_address(arm: Arm) -> None:
    vm = arm.vm(arm.group())
    before = arm.get(vm).body["properties"]
    nic = before["networkProfile"]["networkInterfaces"][0]["id"]
    address = arm.get(nic).body["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"]
    arm.done(arm.post(f"{vm}/deallocate"))
    assert arm.host.compute.machines() == {}
    assert arm.host.network.applied[-1] == ()
    disk = arm.get(before["storageProfile"]["osDisk"]["managedDisk"]["id"]).body
    assert disk["properties"]["diskState"] == "Reserved"
    arm.done(arm.post(f"{vm}/start"))
    after = arm.get(nic).body["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"]
    assert after == address


@pytest.mark.parametrize("action", ["powerOff", "restart", "redeploy"])
def test_a_deallocated_vm_refuses_what_needs_a_host(arm: Arm, action: str) -> None:
    vm = arm.vm(arm.group())
    arm.done(arm.post(f"{vm}/deallocate"))
    answer = arm.post(f"{vm}/{action}")
    assert (answer.status, answer.code) == (409, "OperationNotAllowed")


def test_a_guest_that_shuts_itself_down_shows_stopped_and_stays_so(arm: Arm) -> None:
    vm = arm.vm(arm.group())
    arm.host.compute.guest_shutdown(private_id(arm, vm))
    until(lambda: arm.power(vm) == "stopped")
    arm.done(arm.post(f"{vm}/start"))
    assert arm.power(vm) == "running"


def test_a_read_body_can_be_put_back_and_changes_nothing(arm: Arm) -> None:
    vm = arm.vm(arm.group())
    before = arm.get(f"{vm}?$expand=instanceView").body
    arm.done(arm.put(vm, before))
    after = arm.get(f"{vm}?$expand=instanceView").body
    for body in (before, after):
        body.pop("etag")
        for status in body["properties"]["instanceView"]["statuses"]:
            status.pop("time", None)
        body["properties"]["instanceView"]["vmAgent"]["statuses"][0].pop("time")
    assert after == before


def test_tags_are_patched(arm: Arm) -> None:
    vm = arm.vm(arm.group())
    arm.done(arm.call("PATCH", vm, {"tags": {"env": "prod"}}))
    assert arm.get(vm).body["tags"] == {"env": "prod"}


@pytest.mark.parametrize("power", ["running", "stopped", "deallocated"])
def test_a_vm_is_resized_in_any_power_state(arm: Arm, power: str) -> None:
    vm = arm.vm(arm.group())
    if power != "running":
        arm.done(arm.post(f"{vm}/{'powerOff' if power == 'stopped' else 'deallocate'}"))
    body = arm.get(vm).body
    body["properties"]["hardwareProfile"]["vmSize"] = "Standard_B2s"
    arm.done(arm.put(vm, body))
    assert arm.power(vm) == power
    assert arm.get(vm).body["properties"]["hardwareProfile"]["vmSize"] == "Standard_B2s"
    arm.done(arm.post(f"{vm}/start"))
    machine = arm.host.compute.machines()[private_id(arm, vm)]
    assert (machine.vcpus, machine.memory_bytes) == (2, 4 << 30)


def _change(body: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    *parents, last = path.split(".")
    place = body["properties"]
    for name in parents:
        place = place[name]
    place[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("osProfile.computerName", "other"),
        ("osProfile.adminUsername", "other"),
        ("osProfile.adminPassword", "Other-Passw0rd!"),
        ("storageProfile.imageReference.sku", "13"),
        ("storageProfile.osDisk.name", "other"),
        ("storageProfile.osDisk.createOption", "Attach"),
        ("vmId", "other"),
    ],
)
def test_what_azure_does_not_let_change_is_refused(arm: Arm, path: str, value: object) -> None:
    vm = arm.vm(arm.group())
    answer = arm.put(vm, _change(arm.get(vm).body, path, value))
    assert (answer.status, answer.code) == (409, "PropertyChangeNotAllowed")


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("hardwareProfile", None, "InvalidParameter"),
        ("hardwareProfile.vmSize", "Standard_Nope", "InvalidParameter"),
        ("networkProfile", None, "InvalidParameter"),
        ("networkProfile.networkInterfaces", [], "InvalidParameter"),
        ("storageProfile", None, "InvalidParameter"),
        ("storageProfile.imageReference.offer", "windows", "PlatformImageNotFound"),
        ("storageProfile.imageReference", {"id": "/x"}, "InvalidParameter"),
        ("storageProfile.osDisk.createOption", "Copy", "InvalidParameter"),
        ("storageProfile.osDisk.diskSizeGB", 1, "ResizeDiskError"),
        ("storageProfile.dataDisks", [{"lun": 0, "createOption": "Empty"}], "NotSupported"),
        ("osProfile", None, "InvalidParameter"),
        ("osProfile.adminUsername", "root", "InvalidParameter"),
        ("osProfile.computerName", "-bad-", "InvalidParameter"),
        ("osProfile.customData", "!!", "InvalidParameter"),
        ("osProfile.linuxConfiguration.ssh.publicKeys", [{"keyData": "nonsense"}], "InvalidParameter"),
        ("osProfile.linuxConfiguration.ssh.publicKeys", [], "InvalidParameter"),
        ("osProfile.windowsConfiguration", {"timeZone": "UTC"}, "InvalidRequestContent"),
        ("priority", "Spot", "InvalidParameter"),
        ("availabilitySet", {"id": "/x"}, "InvalidRequestContent"),
        ("securityProfile", {"securityType": "TrustedLaunch"}, "InvalidParameter"),
    ],
)
def test_a_bad_vm_is_refused_and_leaves_nothing(arm: Arm, path: str, value: object, code: str) -> None:
    group = arm.group()
    nic = arm.nic(group)
    answer = arm.put(f"{VMS}/web", _change(arm.vm_body(nic), path, value))
    assert (answer.status in (400, 404), answer.code) == (True, code), answer.body
    assert arm.get(f"{VMS}/web").status == 404
    assert arm.get(f"{group}/providers/Microsoft.Compute/disks").body["value"] == []


def test_a_vm_has_no_more_nics_than_its_size_may_have(arm: Arm) -> None:
    group = arm.group()
    ids = [arm.nic(group, f"n{i}") for i in range(3)]
    profile = {"networkInterfaces": [{"id": nic, "properties": {"primary": nic == ids[0]}} for nic in ids]}
    small = arm.put(f"{VMS}/web", arm.vm_body(ids[0], networkProfile=profile))
    assert (small.status, small.code) == (400, "NetworkInterfaceCountExceeded")
    larger: dict[str, Any] = {"networkProfile": profile, "hardwareProfile": {"vmSize": "Standard_B2s"}}
    arm.done(arm.put(f"{VMS}/web", arm.vm_body(ids[0], **larger)))
    assert len(arm.spec(f"{VMS}/web").ports) == 3
    shrunk = arm.call("PATCH", f"{VMS}/web", {"properties": {"hardwareProfile": {"vmSize": "Standard_B1s"}}})
    assert shrunk.code == "NetworkInterfaceCountExceeded"


def test_identity_is_refused_by_name(arm: Arm) -> None:
    body = {**arm.vm_body(arm.nic(arm.group())), "identity": {"type": "SystemAssigned"}}
    answer = arm.put(f"{VMS}/web", body)
    assert (answer.status, answer.body["error"]["target"]) == (400, "identity")


def test_a_password_is_checked_hashed_and_never_shown(arm: Arm) -> None:
    nic = arm.nic(arm.group())
    body = arm.vm_body(nic)
    profile = body["properties"]["osProfile"]
    profile["linuxConfiguration"] = {"disablePasswordAuthentication": False}
    profile["adminPassword"] = "weak"
    assert arm.put(f"{VMS}/web", body).code == "InvalidParameter"
    profile["adminPassword"] = "Plant3d-Secret!"
    profile["customData"] = base64.b64encode(b"planted custom data").decode()
    arm.host.compute.never_ready = True
    answer = arm.put(f"{VMS}/web", body)
    shown = json.dumps([answer.body, arm.get(f"{VMS}/web?$expand=instanceView,userData").body])
    assert "Plant3d" not in shown
    assert profile["customData"] not in shown
    while not (specs := arm.specs()):
        time.sleep(0.01)
    told = specs[0].provisioning
    assert told is not None
    assert (told.password_hash or "").startswith("$6$")
    assert told.custom_data == profile["customData"]


def test_the_guest_is_told_who_it_is(arm: Arm) -> None:
    vm = arm.vm(arm.group(), userData=base64.b64encode(b"hello").decode())
    spec = arm.spec(vm)
    document = json.loads(spec.metadata)
    assert document["compute"]["name"] == "web"
    assert document["compute"]["publicKeys"][0]["keyData"] == KEY
    assert base64.b64decode(document["compute"]["userData"]) == b"hello"
    assert document["network"]["interface"][0]["ipv4"]["ipAddress"][0]["privateIpAddress"] == "10.0.0.4"


def test_the_guests_metadata_follows_its_public_address(arm: Arm) -> None:
    group = arm.group()
    vm = arm.vm(group)
    nic = arm.get(vm).body["properties"]["networkProfile"]["networkInterfaces"][0]["id"]
    arm.nic(group, "spare", public=True)
    arm.done(arm.delete(f"{NETWORK}/networkInterfaces/spare"))
    address = arm.get(f"{NETWORK}/publicIPAddresses/spare-ip").body
    body = arm.get(nic).body
    body["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"] = {"id": address["id"]}
    arm.done(arm.put(nic, body))
    shown = json.loads(arm.spec(vm).metadata)["network"]["interface"][0]["ipv4"]["ipAddress"][0]
    assert shown["publicIpAddress"] == address["properties"]["ipAddress"]


def test_a_size_larger_than_the_host_fails_with_what_is_free(arm: Arm) -> None:
    group = arm.group()
    body = arm.vm_body(arm.nic(group))
    body["properties"]["hardwareProfile"]["vmSize"] = "Standard_E64s_v5"
    ended = arm.wait(arm.put(f"{VMS}/big", body))
    assert ended.body["status"] == "Failed"
    assert ended.body["error"]["code"] == "AllocationFailed"
    assert "free" in ended.body["error"]["message"]
    view = arm.get(f"{VMS}/big/instanceView").body
    assert view["statuses"][0]["code"] == "ProvisioningState/failed/AllocationFailed"
    arm.done(arm.delete(f"{VMS}/big"))


def test_a_guest_that_reports_failure_fails_the_vm_and_keeps_it(arm: Arm) -> None:
    group = arm.group()
    arm.host.compute.not_ready = "cloud-init found no key"
    ended = arm.wait(arm.put(f"{VMS}/web", arm.vm_body(arm.nic(group))))
    assert ended.body["error"]["code"] == "OSProvisioningClientError"
    assert "cloud-init found no key" in ended.body["error"]["message"]
    assert arm.power(f"{VMS}/web") == "running"


def test_a_guest_that_never_reports_times_out_with_its_log(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skerry.resources.compute.virtual_machine.steps.PROVISION_SECONDS", 1.0)
    group = arm.group()
    arm.host.compute.never_ready = True
    ended = arm.wait(arm.put(f"{VMS}/web", arm.vm_body(arm.nic(group))))
    assert ended.body["error"]["code"] == "OSProvisioningTimedOut"
    assert "web login:" in ended.body["error"]["message"]
    assert arm.get(f"{VMS}/web").body["properties"]["provisioningState"] == "Failed"
    assert arm.power(f"{VMS}/web") == "running"


def test_a_vm_on_a_kept_disk_does_not_wait_for_its_guest(arm: Arm) -> None:
    group = arm.group()
    first = arm.vm(group)
    disk = arm.get(first).body["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"]
    in_use = arm.delete(disk)
    assert (in_use.status, in_use.code) == (409, "OperationNotAllowed")
    arm.done(arm.delete(first))
    assert arm.get(disk).body["properties"]["diskState"] == "Unattached"
    arm.host.compute.never_ready = True
    body = arm.vm_body(arm.nic(group, "other"))
    body["properties"].pop("osProfile")
    body["properties"]["storageProfile"] = {
        "osDisk": {"createOption": "Attach", "osType": "Linux", "managedDisk": {"id": disk}}
    }
    arm.done(arm.put(f"{VMS}/again", body))
    assert arm.power(f"{VMS}/again") == "running"


def test_a_nic_or_disk_is_not_used_twice(arm: Arm) -> None:
    group = arm.group()
    vm = arm.vm(group)
    body = arm.vm_body(arm.get(vm).body["properties"]["networkProfile"]["networkInterfaces"][0]["id"])
    assert arm.put(f"{VMS}/other", body).code == "NicInUse"


@pytest.mark.parametrize("option", ["Delete", "Detach"])
def test_delete_obeys_delete_options(arm: Arm, option: str) -> None:
    group = arm.group()
    nic = arm.nic(group, public=True)
    body = arm.vm_body(nic)
    body["properties"]["networkProfile"]["networkInterfaces"][0]["properties"] = {"deleteOption": option}
    body["properties"]["storageProfile"]["osDisk"]["deleteOption"] = option
    arm.done(arm.put(f"{VMS}/web", body))
    disk = arm.get(f"{VMS}/web").body["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"]
    arm.done(arm.delete(f"{VMS}/web"))
    assert arm.get(f"{VMS}/web").status == 404
    left = 404 if option == "Delete" else 200
    assert (arm.get(nic).status, arm.get(disk).status) == (left, left)
    assert arm.host.compute.machines() == {}
    assert bool(arm.host.storage.disks()) is (option == "Detach")


def test_delete_works_while_the_vm_is_being_created(arm: Arm) -> None:
    group = arm.group()
    arm.host.compute.never_ready = True
    creating = arm.put(f"{VMS}/web", arm.vm_body(arm.nic(group)))
    until(lambda: arm.power(f"{VMS}/web") == "running")
    assert arm.post(f"{VMS}/web/restart").code == "Conflict"
    arm.done(arm.delete(f"{VMS}/web?forceDeletion=true"))
    assert arm.wait(creating).body["status"] == "Canceled"
    assert arm.host.compute.machines() == {}
    assert arm.delete(f"{VMS}/web").status == 204


def test_boot_diagnostics_hand_out_a_signed_link(arm: Arm) -> None:
    vm = arm.vm(arm.group())
    assert arm.post(f"{vm}/retrieveBootDiagnosticsData").code == "OperationNotAllowed"
    body = arm.get(vm).body
    body["properties"]["diagnosticsProfile"] = {"bootDiagnostics": {"enabled": True}}
    arm.done(arm.put(vm, body))
    link = arm.post(f"{vm}/retrieveBootDiagnosticsData").body["serialConsoleLogBlobUri"]
    assert "login:" in arm.client.get(link).text
    assert arm.client.get(link.replace("sig=", "sig=0")).status_code == 403


def test_a_group_delete_takes_all_along(arm: Arm) -> None:
    group = arm.group()
    arm.vm(group)
    arm.nic(group, "spare", public=True)
    arm.done(arm.delete("resourcegroups/rg"))
    assert arm.get("resourcegroups/rg").status == 404
    assert arm.get("resources").body["value"] == []
    assert arm.host.compute.machines() == {}
    assert list(arm.host.storage.disks()) == []


def test_a_group_that_others_need_is_not_deleted(arm: Arm) -> None:
    group = arm.group()
    vm = arm.vm(group)
    nic = arm.get(vm).body["properties"]["networkProfile"]["networkInterfaces"][0]["id"]
    assert nic
    other = arm.group("other")
    arm.nic(other, "mine")
    shared = arm.get(f"{NETWORK}/virtualNetworks/net").body["properties"]["subnets"][0]["id"]
    properties = {"ipConfigurations": [{"name": "one", "properties": {"subnet": {"id": shared}}}]}
    path = f"{other}/providers/Microsoft.Network/networkInterfaces/far"
    arm.done(arm.put(path, {"location": "local", "properties": properties}))
    ended = arm.wait(arm.delete("resourcegroups/rg"))
    assert ended.body["error"]["code"] == "ResourceGroupDeletionBlocked"
    assert "virtualNetworks/net" in ended.body["error"]["message"]
    assert arm.get("resourcegroups/rg").body["properties"]["provisioningState"] == "Succeeded"


@pytest.mark.parametrize(
    ("group", "vm", "warm"),
    [({}, {}, True), ({"Skerry.WarmStart": "Off"}, {}, False), ({"team": "off"}, {"skerry.warmStart": "off"}, False)],
)
def test_a_tag_keeps_a_vm_from_starting_warm(arm: Arm, group: dict[str, str], vm: dict[str, str], warm: bool) -> None:
    arm.done(arm.put("resourceGroups/rg", {"location": "local", "tags": group}))
    body = arm.vm_body(arm.nic("resourceGroups/rg")) | {"tags": vm}
    arm.done(arm.put(f"{VMS}/web", body))
    assert arm.spec(f"{VMS}/web").warm is warm
