"""A VM, its restore point collection and points, for tests."""

import time
from typing import Any

import pytest
from tests.api.client import Answer, Arm

COMPUTE = "resourceGroups/rg/providers/Microsoft.Compute"
COLLECTION = f"{COMPUTE}/restorePointCollections/kept"
POINT = f"{COLLECTION}/restorePoints/one"
VM = f"{COMPUTE}/virtualMachines/web"
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # what is refused reaches no database
FORK = f"{COMPUTE}/virtualMachines/second"


def identifier(arm: Arm, path: str) -> str:
    return f"/subscriptions/{arm.subscription}/{path}"


def put_collection(arm: Arm, *, memory: bool = False, vm: str = VM) -> Answer:
    tags = {"tags": {"skerry.memory": "on"}} if memory else {}
    body = {"location": "local", "properties": {"source": {"id": identifier(arm, vm)}}, **tags}
    return arm.put(COLLECTION, body)


def make_point(arm: Arm, *, memory: bool = False, path: str = POINT) -> dict[str, Any]:
    """A restore point of a new VM `web`."""
    if arm.get(VM).status == 404:
        arm.vm(arm.group())
    assert put_collection(arm, memory=memory).status in (200, 201)
    arm.done(arm.put(path, {}))
    found: dict[str, Any] = arm.get(path).body
    return found


def fork_body(arm: Arm, nic: str = "second-nic", **properties: Any) -> dict[str, Any]:
    body = arm.vm_body(arm.nic("resourceGroups/rg", nic), **properties)
    body["properties"]["storageProfile"]["imageReference"] = {"id": identifier(arm, POINT)}
    body["properties"].pop("osProfile")
    return body


def checkpoints(arm: Arm) -> list[str]:
    with arm.control.store.read() as work:
        return [checkpoint.id for checkpoint in work.hosts.spec("local").checkpoints]


def is_reported(arm: Arm) -> bool:
    """Whether the host says that it has the one checkpoint."""
    (checkpoint,) = checkpoints(arm)
    with arm.control.store.read() as work:
        return work.hosts.checkpoint("local", checkpoint) is not None


def until(condition: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
