"""A host that can't: each request fails with its cause, and the same request succeeds once the cause is gone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.client import Answer
from tests.consistent import consistent
from tests.engine.scenarios import DISK, VMS, put_vm, vm_body
from tests.engine.stepped import Clock
from tests.engine.world import World, opened

from skerry.hostspec import ImageObserved

WEB = f"resourceGroups/rg/{VMS}/web"
CAUSES = ("full disk", "image gone", "no qemu", "no report")
CODES = {"no report": "OperationTimedOut"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened(tmp_path / "state", Clock()) as world:
        world.arm.nic(world.arm.group(), "web-nic")
        yield world


def _break(world: World, cause: str) -> None:
    host = world.host
    if cause == "full disk":
        host.storage.full = True
    elif cause == "image gone":
        host.storage.image_list.clear()
    elif cause == "no qemu":
        host.compute.fail_next = ["qemu-system-x86_64: Could not allocate memory"] * 10_000
    else:
        host.silent = True


def _mend(world: World, images: list[ImageObserved]) -> None:
    host = world.host
    host.storage.full = host.silent = False
    host.storage.image_list = images
    host.compute.fail_next = []


def _failure(world: World, answer: Answer) -> dict[str, str]:
    """What the operation says that failed."""
    assert answer.status in (200, 201, 202), answer.body
    ended = world.arm.wait(answer)
    assert ended.body["status"] == "Failed", ended.body
    error: dict[str, str] = ended.body["error"]
    return error


@pytest.mark.parametrize("cause", CAUSES)
def test_a_vm_that_could_not_be_made_is_made_by_the_same_request(world: World, cause: str) -> None:
    images = list(world.host.storage.image_list)
    answer = put_vm(world.arm)
    _break(world, cause)
    error = _failure(world, answer)
    words = {"full disk": "No space left", "image gone": "image", "no qemu": "allocate memory", "no report": "host"}
    assert error["code"] == CODES.get(cause, "VMStartFailed")
    assert words[cause] in error["message"]
    assert world.arm.get(WEB).body["properties"]["provisioningState"] == "Failed"
    _mend(world, images)
    world.settle()
    world.arm.done(put_vm(world.arm))
    assert world.arm.get(WEB).body["properties"]["provisioningState"] == "Succeeded"
    assert world.arm.power(WEB) == "running"
    consistent(world.control, world.host, quiet=True)


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("how", ["start", "delete"])
def test_a_failed_vm_can_be_started_or_deleted(world: World, cause: str, how: str) -> None:
    images = list(world.host.storage.image_list)
    answer = put_vm(world.arm)
    _break(world, cause)
    _failure(world, answer)
    _mend(world, images)
    if how == "start":
        world.arm.done(world.arm.post(f"{WEB}/start"))
        assert world.arm.power(WEB) == "running"
    else:
        world.arm.done(world.arm.delete(WEB))
        assert world.arm.get(WEB).status == 404
        assert not world.host.compute.machines()
    consistent(world.control, world.host, quiet=True)


def test_no_vm_is_placed_on_a_host_that_reports_no_more(world: World) -> None:
    world.host.silent = True
    world.clock.advance(40)
    error = _failure(world, put_vm(world.arm))
    assert error["code"] == "AllocationFailed"
    assert "host local: has not reported since" in error["message"]
    explained = world.arm.get(f"{WEB}/explain").body
    assert "has not reported since" in explained["failure"]["message"]
    world.host.silent = False
    world.arm.done(put_vm(world.arm))
    assert world.arm.power(WEB) == "running"


def test_a_host_that_reports_again_soon_is_waited_for(world: World) -> None:
    """As after a start of Skerry, whose engine is there before the first report."""
    world.host.silent = True
    world.clock.advance(40)
    answer = put_vm(world.arm)
    world.control.engine.run_due()
    world.host.silent = False
    world.arm.done(answer)


def test_a_vm_that_fails_is_deleted_while_the_cause_lasts(world: World) -> None:
    _break(world, "no qemu")
    _failure(world, put_vm(world.arm))
    world.arm.done(world.arm.delete(WEB))
    consistent(world.control, world.host, quiet=True)


def test_a_guest_that_never_reports_fails_its_creation_and_may_come_later(world: World) -> None:
    world.host.compute.never_ready = True
    error = _failure(world, put_vm(world.arm))
    assert (error["code"], world.arm.power(WEB)) == ("OSProvisioningTimedOut", "running")
    assert "kept" in error["message"]


def test_a_guest_that_ends_before_it_is_ready_fails_at_once_and_is_made_by_the_same_request(world: World) -> None:
    world.host.compute.never_ready = True
    answer = put_vm(world.arm)
    world.turn()
    (machine,) = world.host.compute.machines()
    world.host.compute.crash(machine)
    before = world.clock.monotonic()
    error = _failure(world, answer)
    assert error["code"] == "OSProvisioningClientError"
    assert "ended unexpectedly" in error["message"]
    assert world.clock.monotonic() - before < 60
    world.host.compute.never_ready = False
    world.arm.done(put_vm(world.arm))
    assert world.arm.power(WEB) == "running"


def test_a_group_that_takes_too_long_to_delete_names_what_is_left_and_why(world: World) -> None:
    world.arm.done(put_vm(world.arm))
    world.host.silent = True
    error: Any = _failure(world, world.arm.delete("resourceGroups/rg"))
    assert error["code"] == "ResourceGroupDeletionTimeout"
    why = {detail["target"].rpartition("/")[2]: detail["message"] for detail in error["details"]}
    assert "Host 'local' reports no more" in why["web"]
    assert "web" in why["web-nic"]
    assert "/web'" in error["message"]
    world.host.silent = False
    world.arm.done(world.arm.delete("resourceGroups/rg"))
    consistent(world.control, world.host, quiet=True)


@pytest.mark.parametrize("size", [1, 3])
def test_a_disk_that_could_not_be_made_or_grown_is_by_the_same_request(world: World, size: int) -> None:
    def put(gib: int) -> Answer:
        properties = {"creationData": {"createOption": "Empty"}, "diskSizeGB": gib}
        return world.arm.put(DISK, {"location": "local", "properties": properties})

    if size > 1:
        world.arm.done(put(1))
    world.host.storage.full = True
    error = _failure(world, put(size))
    assert error["code"] == "DiskNotReady"
    assert "No space left on device" in error["message"]
    assert "same request again" in error["message"]
    world.host.storage.full = False
    world.arm.done(put(size))
    assert world.arm.get(DISK).body["properties"]["provisioningState"] == "Succeeded"
    assert list(world.host.storage._sizes.values()) == [size << 30]


def test_the_same_put_with_the_same_secrets_changes_nothing_and_with_others_is_refused(world: World) -> None:
    def body(password: str) -> dict[str, object]:
        body = vm_body(world.arm)
        profile = body["properties"]["osProfile"]
        profile["linuxConfiguration"]["disablePasswordAuthentication"] = False
        return {**body, "properties": {**body["properties"], "osProfile": {**profile, "adminPassword": password}}}

    world.arm.done(world.arm.put(WEB, body("Correct-horse-1")))
    world.arm.done(world.arm.put(WEB, body("Correct-horse-1")))
    refused = world.arm.put(WEB, body("Correct-horse-2"))
    assert (refused.status, refused.code) == (409, "PropertyChangeNotAllowed")


def test_a_guest_that_was_powered_off_unseen_is_started_when_asked(world: World) -> None:
    world.arm.done(put_vm(world.arm))
    (machine,) = world.host.compute.machines()
    world.host.compute.guest_shutdown(machine)
    world.arm.done(world.arm.post(f"{WEB}/start"))
    assert world.arm.power(WEB) == "running"


def test_who_deletes_twice_gets_the_same_delete(world: World) -> None:
    world.arm.done(put_vm(world.arm))
    first, second = world.arm.delete(WEB), world.arm.delete(WEB)
    assert (first.status, second.status) == (202, 202)
    assert first.headers["azure-asyncoperation"] == second.headers["azure-asyncoperation"]
    world.arm.done(second)
    first = world.arm.delete("resourceGroups/rg")
    refused = world.arm.put("resourceGroups/rg", {"location": "local"})
    assert (refused.status, refused.code) == (409, "ResourceGroupBeingDeleted")
    world.arm.done(first)
