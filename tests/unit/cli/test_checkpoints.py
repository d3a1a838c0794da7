"""`skerry vm checkpoint`, `checkpoints`, `restore`, `fork` and `delete-checkpoint` against a small cloud."""

import pytest
from tests.unit.cli.cloud import Cloud, Skerry, answer, failure


@pytest.fixture
def web(cloud: Cloud, skerry: Skerry) -> str:
    """A machine `web`; the collection that its checkpoints go to."""
    answer(skerry("vm", "create", "web", "--size", "Standard_B2s", "-o", "json"))
    return f"{cloud.group()}/providers/Microsoft.Compute/restorePointCollections/web-checkpoints"


def test_a_checkpoint_is_made_with_memory_unless_told_otherwise(cloud: Cloud, skerry: Skerry, web: str) -> None:
    made = answer(skerry("vm", "checkpoint", "web", "--name", "one", "-o", "json"))
    assert made["id"] == f"{web}/restorePoints/one"
    assert made["properties"]["skerry"]["memory"] is True
    assert cloud.resources[web.lower()]["properties"]["source"]["id"].endswith("/virtualMachines/web")
    plain = answer(skerry("vm", "checkpoint", "web", "--no-memory", "-o", "json"))
    assert plain["properties"]["skerry"]["memory"] is False
    assert sum(request == ("PUT", web) for request in cloud.requests) == 1


def test_checkpoints_are_listed_in_their_order(skerry: Skerry, web: str) -> None:
    for name in ("three", "a"):
        answer(skerry("vm", "checkpoint", "web", "--name", name, "-o", "json"))
    assert [point["name"] for point in answer(skerry("vm", "checkpoints", "web", "-o", "json"))] == ["a", "three"]
    table = skerry("vm", "checkpoints", "web").stdout.splitlines()
    assert table[0].split() == ["Name", "Created", "Memory", "Size", "Pause", "Provisioning"]
    assert table[2].split() == ["a", "2026-11-22", "10:00:01", "yes", "300", "MB", "41", "ms", "Succeeded"]


def test_a_deleted_machine_has_its_checkpoints_still(skerry: Skerry, web: str) -> None:
    answer(skerry("vm", "checkpoint", "web", "--name", "one", "-o", "json"))
    answer(skerry("vm", "delete", "web", "-y", "-o", "json"))
    assert len(answer(skerry("vm", "checkpoints", "web", "-o", "json"))) == 1
    answer(skerry("vm", "delete-checkpoint", "web", "one", "-y", "-o", "json"))
    assert "There is no virtual machine" in failure(skerry("vm", "checkpoints", "web"))


def test_restore_takes_the_newest_and_asks_before(cloud: Cloud, skerry: Skerry, web: str) -> None:
    for name in ("a", "three"):
        answer(skerry("vm", "checkpoint", "web", "--name", name, "-o", "json"))
    asked = skerry("vm", "restore", "web")  # nobody answers
    assert "Put web back to 'three'" in asked.stderr
    assert asked.exception is not None
    assert not any(path.endswith("/restore") for _, path in cloud.requests)
    assert answer(skerry("vm", "restore", "web", "-y", "-o", "json"))["name"] == "web"
    answer(skerry("vm", "restore", "web", "A", "-y", "-o", "json"))
    cloud.views[f"{cloud.group()}/providers/microsoft.compute/virtualmachines/web/explain".lower()] = {
        "condition": {"message": "it booted"}
    }
    assert "web: it booted" in skerry("vm", "restore", "web", "a", "-y", "-o", "json").stderr
    restored = [path for method, path in cloud.requests if method == "POST" and path.endswith("/restore")]
    assert restored == [f"{web}/restorePoints/{name}/restore" for name in ("three", "a", "a")]
    assert "no checkpoint 'none'" in failure(skerry("vm", "restore", "web", "none", "-y"))


def test_a_fork_has_a_network_of_its_own(cloud: Cloud, skerry: Skerry, web: str) -> None:
    answer(skerry("vm", "create", "web-2", "-o", "json"))
    made = answer(skerry("vm", "fork", "web", "--count", "2", "-o", "json"))
    assert [machine["name"] for machine in made] == ["web-1", "web-3"]
    first = cloud.vm("web-1")["properties"]
    image = first["storageProfile"]["imageReference"]["id"]
    assert image.startswith(f"{web}/restorePoints/fork-")
    assert image.lower() not in cloud.resources  # it was made for the time
    assert first["hardwareProfile"] == {"vmSize": "Standard_B2s"}
    assert first["osProfile"] == {"computerName": "web-1"}
    nics = f"{cloud.group()}/providers/Microsoft.Network/networkInterfaces"
    theirs, own = (cloud.resources[f"{nics}/{name}VMNic".lower()]["properties"] for name in ("web-1", "web"))
    assert theirs["networkSecurityGroup"] == own["networkSecurityGroup"]
    subnets = [nic["ipConfigurations"][0]["properties"]["subnet"] for nic in (theirs, own)]
    assert subnets[0] == subnets[1]
    asked = [path.rpartition("/")[2] for method, path in cloud.requests if method == "PUT"]
    assert asked.index("web-3VMNic") < asked.index("web-3")


def test_a_fork_from_a_checkpoint_keeps_it(cloud: Cloud, skerry: Skerry, web: str) -> None:
    answer(skerry("vm", "checkpoint", "web", "--name", "one", "-o", "json"))
    made = answer(skerry("vm", "fork", "web", "--from", "one", "--prefix", "copy", "-o", "json"))
    assert [machine["name"] for machine in made] == ["copy-1"]
    assert f"{web}/restorePoints/one".lower() in cloud.resources


def test_a_fork_that_fails_says_which_and_keeps_the_checkpoint(cloud: Cloud, skerry: Skerry, web: str) -> None:
    cloud.fail["virtualMachines/web-2"] = "no room"
    message = failure(skerry("vm", "fork", "web", "--count", "2"))
    assert "1 of 2" in message
    assert "web-2: Broken: no room" in message
    assert any("/restorepoints/fork-" in key for key in cloud.resources)
