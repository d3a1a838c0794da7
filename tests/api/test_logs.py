"""One request followed through the log by its ids; the VM's id leads on to its host's lines."""

import time
from typing import Any

import structlog
from tests.api.client import Arm


def test_a_request_is_followed_by_its_ids(arm: Arm) -> None:
    group = arm.group()
    body = arm.vm_body(arm.nic(group))
    path = f"{group}/providers/Microsoft.Compute/virtualMachines/web"
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        answer = arm.put(path, body, **{"x-ms-correlation-request-id": "joined"})
        arm.done(answer)
        ended = _wait_for(lines, "operation ended")
    request, vm = answer.headers["x-ms-request-id"], arm.get(path).body["properties"]["vmId"]
    told = next(line for line in lines if line["event"] == "host told what a VM should be")
    assert (told["request_id"], told["correlation_id"], told["vm"], told["host"]) == (request, "joined", vm, "local")
    assert (told["kind"], told["step"], told["operation"]) == ("vm-create", "start", ended["operation"])
    assert (ended["result"], ended["request_id"], ended["correlation_id"]) == ("Succeeded", request, "joined")


def _wait_for(lines: list[Any], event: str) -> Any:
    end = time.monotonic() + 10
    while not (found := [line for line in lines if line["event"] == event]):
        assert time.monotonic() < end, lines
        time.sleep(0.01)
    return found[0]
