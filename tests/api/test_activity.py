"""The activity log: who did what, when, and how it ended, as `az monitor activity-log list` asks for it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from tests.api.client import Answer, Arm

VALUES = "providers/Microsoft.Insights/eventtypes/management/values"
VNET = {"location": "local", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
NET = "resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/net"


def ask(arm: Arm, *terms: str, select: str | None = None) -> Answer:
    """The answer to a filter that begins an hour ago."""
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    text = " and ".join((f"eventTimestamp ge {since}", *terms))
    more = f"&$select={quote(select)}" if select else ""
    return arm.get(f"{VALUES}?$filter={quote(text)}{more}")


def events(arm: Arm, *terms: str) -> list[dict[str, Any]]:
    """The events that pass a filter, newest first."""
    answer = ask(arm, *terms)
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.body["value"]
    return found


def named(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What each event is about, oldest first."""
    return [(event["operationName"]["value"], event["status"]["value"]) for event in reversed(found)]


def test_a_write_that_ends_at_once_is_one_event(arm: Arm) -> None:
    arm.group()
    sent = {"x-ms-client-request-id": "clients", "x-ms-correlation-request-id": "joined"}
    answer = arm.put(NET, VNET, **sent)
    (event,) = events(arm, "correlationId eq 'joined'")
    assert event["operationName"] == {
        "value": "Microsoft.Network/virtualNetworks/write",
        "localizedValue": "Create or Update Virtual Network",
    }
    assert event["status"]["value"] == "Succeeded"
    assert event["subStatus"] == {"value": "Created", "localizedValue": "Created (HTTP Status Code: 201)"}
    assert event["properties"]["statusCode"] == "Created"
    assert event["properties"]["serviceRequestId"] == answer.headers["x-ms-request-id"]
    assert event["httpRequest"] == {"clientRequestId": "clients", "clientIpAddress": "testclient", "method": "PUT"}
    assert event["resourceId"] == f"/subscriptions/{arm.subscription}/{NET}"
    assert event["resourceType"]["value"] == "Microsoft.Network/virtualNetworks"
    assert (event["resourceGroupName"], event["level"]) == ("rg", "Informational")
    assert event["caller"] == event["claims"]["appid"]
    assert datetime.now(UTC) - datetime.fromisoformat(event["eventTimestamp"]) < timedelta(minutes=5)


def test_an_operation_is_accepted_and_ends(arm: Arm) -> None:
    group = arm.group()
    vm = arm.vm(group)
    whole = f"/subscriptions/{arm.subscription}/{vm}"
    arm.done(arm.post(f"{vm}/powerOff"))
    found = events(arm, f"resourceId eq '{whole}'")
    assert named(found) == [
        ("Microsoft.Compute/virtualMachines/write", "Accepted"),
        ("Microsoft.Compute/virtualMachines/write", "Succeeded"),
        ("Microsoft.Compute/virtualMachines/powerOff/action", "Accepted"),
        ("Microsoft.Compute/virtualMachines/powerOff/action", "Succeeded"),
    ]
    end, began = found[2], found[3]
    assert end["operationId"] == began["operationId"]
    assert end["correlationId"] == began["correlationId"]
    assert found[0]["operationName"]["localizedValue"] == "Power Off Virtual Machine"
    steps = json.loads(end["properties"]["steps"])
    assert steps[0]["step"] == "start"
    assert float(end["properties"]["seconds"]) >= 0
    assert end["properties"]["start"] == "cold"
    assert set(json.loads(end["properties"]["startSeconds"])) == {"running", "ready", "phases"}


def test_a_group_is_a_part_of_its_subscription(arm: Arm) -> None:
    arm.group("mine")
    arm.done(arm.delete("resourceGroups/mine"))
    name = "Microsoft.Resources/subscriptions/resourceGroups"
    assert named(events(arm, "resourceGroupName eq 'MINE'")) == [
        (f"{name}/write", "Succeeded"),
        (f"{name}/delete", "Accepted"),
        (f"{name}/delete", "Succeeded"),
    ]


def test_a_child_is_logged_as_itself(arm: Arm) -> None:
    arm.group()
    arm.done(arm.put(NET, VNET))
    arm.done(arm.put(f"{NET}/subnets/a", {"properties": {"addressPrefix": "10.0.1.0/24"}}))
    names = [name for name, _ in named(events(arm, "resourceProvider eq 'microsoft.network'"))]
    assert names == ["Microsoft.Network/virtualNetworks/write", "Microsoft.Network/virtualNetworks/subnets/write"]


def test_a_refusal_is_logged_without_what_was_sent(arm: Arm) -> None:
    group = arm.group()
    body = arm.vm_body(arm.nic(group))
    body["properties"]["osProfile"] |= {"adminPassword": "hunter2-planted", "customData": "hunter2-planted"}
    body["properties"]["osProfile"]["adminUsername"] = "root"
    answer = arm.put(f"{group}/providers/Microsoft.Compute/virtualMachines/web", body)
    assert answer.status == 400
    (event,) = events(arm, "status eq 'Failed'")
    assert event["operationName"]["value"] == "Microsoft.Compute/virtualMachines/write"
    assert (event["level"], event["subStatus"]["value"]) == ("Error", "BadRequest")
    assert json.loads(event["properties"]["statusMessage"])["error"]["code"] == answer.code
    assert "hunter2" not in json.dumps(ask(arm).body)


def test_a_failed_operation_ends_with_its_cause(arm: Arm) -> None:
    group = arm.group()
    body = arm.vm_body(arm.nic(group), hardwareProfile={"vmSize": "Standard_E32s_v5"})
    arm.wait(arm.put(f"{group}/providers/Microsoft.Compute/virtualMachines/large", body))
    (event,) = events(arm, "status eq 'Failed'")
    assert "no room" in event["properties"]["statusMessage"]


def test_a_flood_of_refusals_leaves_a_bounded_trace(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    arm.group()
    monkeypatch.setattr("skerry.arm.activity.REFUSALS_AT_ONCE", 3)
    monkeypatch.setattr("skerry.arm.activity.REFUSALS_PER_SECOND", 0.0)
    for _ in range(8):
        assert arm.put(NET, {"location": "nowhere"}).status == 400
    assert len(events(arm, "status eq 'Failed'")) == 3
    monkeypatch.setattr("skerry.arm.activity.REFUSALS_PER_SECOND", 1e9)
    arm.put(NET, {"location": "nowhere"})
    assert events(arm)[0]["properties"]["refusalsNotLogged"] == "5"


def test_what_names_nothing_is_not_logged(arm: Arm) -> None:
    assert arm.put("resourceGroups/rg/providers/No.Such/things/x", {}).status == 404
    assert arm.get(NET).status == 404
    assert arm.put(f"/subscriptions/other/{NET}", VNET).status == 404
    assert events(arm) == []


def test_filters_let_through_what_passes(arm: Arm) -> None:
    arm.group()
    for terms in ("caller eq 'nobody'", "levels eq 'Critical'", "eventChannels eq 'Audit'", "resourceGroupName eq 'x'"):
        assert events(arm, terms) == []
    caller = events(arm)[0]["caller"]
    several = f"caller eq '{caller.upper()}'", "levels eq 'Error,Informational'", "eventChannels eq 'Admin, Operation'"
    assert len(events(arm, *several)) == 1
    assert ask(arm, select="caller , status").body["value"] == [
        {"caller": caller, "status": {"value": "Succeeded", "localizedValue": "Succeeded"}}
    ]


def test_a_filter_without_a_start_is_refused(arm: Arm) -> None:
    for query in ("", "?$filter=", f"?$filter={quote('caller eq 1')}"):
        answer = arm.get(VALUES + query)
        assert (answer.status, answer.code) == (400, "BadRequest")


def test_an_unknown_name_in_select_is_refused(arm: Arm) -> None:
    assert ask(arm, select="caller,color").status == 400


def test_pages_follow_each_other(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcde":
        arm.group(name)
    monkeypatch.setattr("skerry.resources.insights.activity_log.PAGE", 2)
    answer, seen = ask(arm), []
    while True:
        seen += [event["resourceGroupName"] for event in answer.body["value"]]
        if "nextLink" not in answer.body:
            break
        answer = arm.get(answer.body["nextLink"])
    assert seen == ["e", "d", "c", "b", "a"]


def test_a_page_may_be_empty_where_little_passes(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcde":
        arm.group(name)
    monkeypatch.setattr("skerry.resources.insights.activity_log.LOOKED_AT", 2)
    answer = ask(arm, "levels eq 'Error'")
    assert answer.body["value"] == []
    assert "nextLink" in answer.body


def test_the_categories(arm: Arm) -> None:
    assert arm.get("/providers/Microsoft.Insights/eventcategories").body["value"][0]["value"] == "Administrative"
