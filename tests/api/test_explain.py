"""Why a VM is as it is, and what the installation has in hand."""

import time

import pytest
from tests.api.client import Arm

from skerry.hostspec import HostCapacity, Observed
from skerry.store.operations import OperationRow

STATUS = "providers/Skerry.Admin/status"


def test_a_vm_is_explained(arm: Arm) -> None:
    vm = arm.vm(arm.group())
    found = arm.get(f"{vm}/explain").body
    assert found["placement"]["host"] == "local"
    assert found["placement"]["hosts"] == 1
    assert (found["operation"]["kind"], found["operation"]["status"]) == ("vm-create", "Succeeded")
    names = [step["step"] for step in found["operation"]["steps"]]
    assert names[0] == "start"
    assert names[-1] == "await_ready"
    assert sum(step["seconds"] for step in found["operation"]["steps"]) <= found["operation"]["seconds"] + 0.1
    assert (found["condition"]["wanted"], found["condition"]["power"]) == ("running", "running")
    assert found["condition"]["health"] == "ready"
    assert found["condition"]["reported"]
    assert found["failure"] is None
    assert [event["status"] for event in found["activity"]] == ["Succeeded", "Accepted"]


def test_a_deallocated_vm_is_on_no_host(arm: Arm) -> None:
    vm = arm.vm(arm.group())
    arm.done(arm.post(f"{vm}/deallocate"))
    found = arm.get(f"{vm}/explain").body
    assert found["placement"]["host"] == ""
    assert found["condition"]["power"] == "deallocated"
    assert found["operation"]["kind"] == "vm-deallocate"


def test_a_failure_is_explained_with_what_to_do(arm: Arm) -> None:
    arm.host.compute.not_ready = "cloud-init found no key"
    group = arm.group()
    vm = f"{group}/providers/Microsoft.Compute/virtualMachines/web"
    arm.wait(arm.put(vm, arm.vm_body(arm.nic(group))))
    found = arm.get(f"{vm}/explain").body
    assert found["operation"]["status"] == "Failed"
    assert "cloud-init found no key" in found["failure"]["message"]
    assert "console" in found["failure"]["advice"]
    assert "cloud-init" in found["activity"][0]["error"]


def test_what_is_not_there_is_not_explained(arm: Arm) -> None:
    assert arm.get(f"{arm.group()}/providers/Microsoft.Compute/virtualMachines/no/explain").status == 404


def test_status_counts(arm: Arm) -> None:
    arm.vm(arm.group())
    found = arm.get(STATUS).body
    assert found["operations"] == {"inFlight": 0, "byKind": [], "oldest": [], "stuck": []}
    assert (found["hosts"]["count"], found["hosts"]["silent"], found["hosts"]["usedVcpus"]) == (1, 0, 1)
    assert found["guests"] == {"running": 1}
    assert found["database"]["bytes"] > 0
    assert found["database"]["schema"] >= "0002"


def test_status_shows_what_goes_on(arm: Arm) -> None:
    arm.host.compute.never_ready = True
    group = arm.group()
    arm.put(f"{group}/providers/Microsoft.Compute/virtualMachines/web", arm.vm_body(arm.nic(group)))
    found = arm.get(STATUS).body["operations"]
    assert (found["inFlight"], found["byKind"][0]["kind"], found["stuck"]) == (1, "vm-create", [])
    assert found["oldest"][0]["resource"].endswith("/web")


def stuck(arm: Arm, **changes: object) -> str:
    """What is said of an operation that the engine leaves alone until it is due."""
    row = OperationRow("o", "network-apply", "/none", "/None", "wait", deadline=time.time() + 9999)
    row.resume_at = time.time() + 50
    with arm.control.store.write() as work:
        for name, value in changes.items():
            setattr(row, name, value)
        work.operations.add(row)
    (found,) = arm.get(STATUS).body["operations"]["stuck"]
    return " ".join(found["causes"])


def test_a_step_that_takes_long_is_stuck(arm: Arm) -> None:
    assert "in step 'wait' for 500 s" in stuck(arm, started=time.time() - 500)


def test_a_step_that_fails_again_and_again_is_stuck(arm: Arm) -> None:
    assert "failed 3 times" in stuck(arm, state={"attempts": 3})


def test_a_host_that_reports_no_more_is_the_cause(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    with arm.control.store.write() as work:
        work.hosts.add("far")
        monkeypatch.setattr("skerry.store.hosts.time.time", lambda: 1000.0)
        work.hosts.record("far", Observed(1, HostCapacity(1, 1, 1, "fake")))
        monkeypatch.undo()
    assert "'far' reports no more" in stuck(arm, waits_for="far")
    assert arm.get(STATUS).body["hosts"]["silentNames"] == ["far"]


def test_the_status_needs_a_token(arm: Arm) -> None:
    path = f"/subscriptions/{arm.subscription}/{STATUS}?api-version=2026-01-01"
    assert arm.client.get(path).status_code == 401
