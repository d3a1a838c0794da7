"""`skerry status` and `skerry vm explain` against a small cloud."""

from typing import Any

import pytest
from tests.unit.cli.cloud import Cloud, Skerry, answer

from skerry.cli.errors import CliError

WHEN = "2026-01-02T03:04:05.0000000+00:00"
OPERATION = {
    "operation": "op",
    "kind": "vm-create",
    "resource": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/web",
    "step": "await_running",
    "started": WHEN,
    "seconds": 200.0,
    "stepSeconds": 190.0,
    "attempts": 0,
    "waitsFor": "far",
    "failsAt": WHEN,
    "causes": ["Host 'far' reports no more: see that it runs and reaches Skerry."],
}
WORK = {
    "operations": {
        "inFlight": 1,
        "byKind": [{"kind": "vm-create", "state": "waiting", "count": 1}],
        "oldest": [OPERATION],
        "stuck": [OPERATION],
    },
    "hosts": {"count": 2, "silent": 1, "silentNames": ["far"], "usedVcpus": 1, "usedMemoryBytes": 1 << 30},
    "guests": {"running": 1},
    "database": {"kind": "sqlite", "schema": "0002", "bytes": 1 << 20},
    "templates": {
        "count": 2,
        "standby": 3,
        "memoryBytes": 300 << 20,
        "memoryLimitBytes": 3 << 30,
        "diskBytes": 500 << 20,
        "diskLimitBytes": 10 << 30,
    },
}
EXPLAINED: dict[str, Any] = {
    "name": "web",
    "size": "Standard_B1s",
    "vmId": "id",
    "provisioningState": "Failed",
    "placement": {
        "host": "near",
        "chosen": WHEN,
        "hosts": 2,
        "turnedDown": {"has too little memory free": 1},
        "rejected": {"far": "needs 1 GiB of memory, 0.5 GiB of 2 GiB free"},
    },
    "operation": {
        "operation": "op",
        "kind": "vm-create",
        "status": "Failed",
        "caller": "me",
        "started": WHEN,
        "seconds": 3.5,
        "steps": [{"step": "start", "began": WHEN, "seconds": 3.5, "times": 1, "outcome": "failed"}],
    },
    "condition": {
        "wanted": "running",
        "power": "stopped",
        "health": "failed",
        "message": "the guest said \x1b[31mred",
        "phases": {"restored": 0.1, "identity": 1.5},
        "reported": WHEN,
        "problems": ["no image"],
    },
    "failure": {"code": "VMStartFailed", "message": "It could not be started.", "advice": "Start it again."},
    "activity": [{"time": WHEN, "action": "a/write", "status": "Failed", "caller": "me", "error": "Code: text"}],
}


def status_path(cloud: Cloud) -> str:
    return f"/subscriptions/{cloud.identity.subscription_id}/providers/Skerry.Admin/status".lower()


def test_status_tells_what_is_in_flight_and_why_it_is_stuck(cloud: Cloud, skerry: Skerry) -> None:
    cloud.views[status_path(cloud)] = WORK
    shown = skerry("status")
    assert shown.exit_code == 0
    for words in (
        "1 in flight, 1 stuck",
        "2, 1 silent: far",
        "1 running",
        "2; 300 of 3072 MiB of memory",
        "await_running",
        "'far' reports no more",
    ):
        assert words in shown.stdout
    assert answer(skerry("status", "-o", "json"))["work"]["operations"]["inFlight"] == 1


def test_status_goes_on_when_skerry_says_nothing_of_itself(
    cloud: Cloud, skerry: Skerry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skerry.cli.client.Client.request", _refuse)
    shown = skerry("status")
    assert shown.exit_code == 0
    assert cloud.identity.base_url in shown.stdout
    assert "doesn't say" in shown.stderr


def _refuse(*_arguments: object, **_more: object) -> None:
    raise CliError("The store is away.")


@pytest.fixture
def explained(cloud: Cloud) -> Cloud:
    vm = f"{cloud.group()}/providers/Microsoft.Compute/virtualMachines/web"
    cloud.resources[vm.lower()] = {"id": vm, "name": "web", "properties": {}}
    cloud.views[f"{vm}/explain".lower()] = EXPLAINED
    return cloud


@pytest.mark.usefixtures("explained")
def test_explain_tells_where_why_and_what_to_do(skerry: Skerry) -> None:
    shown = skerry("vm", "explain", "web")
    assert shown.exit_code == 0, shown.exception
    for words in (
        "on host near",
        "far: needs 1 GiB",
        "start",
        "no image",
        "identity after 1.5 s",
        "VMStartFailed",
        "Start it again.",
        "a/write",
    ):
        assert words in shown.stdout
    assert "\x1b" not in shown.stdout


@pytest.mark.usefixtures("explained")
def test_explain_as_json_is_the_apis_answer(skerry: Skerry) -> None:
    assert answer(skerry("vm", "explain", "web", "-o", "json")) == EXPLAINED
