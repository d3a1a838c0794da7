"""The real az and the real SDK on restore points of a machine that boots nothing: what they send, what they read."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.cloud import AZ, SDK, Cloud, free_port
from tests.system.conftest import exports

pytestmark = pytest.mark.checkpoints
POINT = "-g default --collection-name kept -n one"


@pytest.fixture(scope="module")
def simulated() -> Iterator[Cloud]:
    """Skerry with one simulated host and a VM `web`."""
    folder = Path(tempfile.mkdtemp(prefix="skerry-test-"))
    found = Cloud(folder / "state", free_port(), folder / "unused")
    found.environment = {**os.environ, "SKERRY_STATE": str(found.state), "SKERRY_AZ": str(AZ)}
    try:
        found.up("--simulate", "1")
        found.environment |= exports(found.skerry("env"))
        found.skerry("vm", "create", "web")
        yield found
    finally:
        found.skerry("down", check=False)
        shutil.rmtree(folder)


def test_az_makes_uses_and_deletes_them(simulated: Cloud) -> None:
    vm = simulated.az("vm show -g default -n web")
    kept = simulated.az(
        "restore-point collection create -g default --collection-name kept -l local --source-id",
        vm["id"],
        "--tags",
        "'skerry.memory'=on",
    )
    assert kept["tags"] == {"skerry.memory": "on"}
    point = simulated.az(f"restore-point create {POINT}")
    assert point["provisioningState"] == "Succeeded"
    shown = simulated.az(f"restore-point show {POINT} --instance-view")
    assert [status["code"] for status in shown["instanceView"]["statuses"]][1] == "SkerryMemory/kept"
    disk = point["sourceMetadata"]["storageProfile"]["osDisk"]["diskRestorePoint"]["id"]
    assert simulated.az("disk create -g default -n back -l local --source", disk)["diskState"] == "Unattached"
    simulated.az(f"rest --method post --url {point['id']}/restore?api-version=2025-04-01")
    expanded = simulated.az("restore-point collection show -g default --collection-name kept --restore-points")
    assert [found["name"] for found in expanded["restorePoints"]] == ["one"]
    simulated.az(f"restore-point delete {POINT} -y")
    assert "ResourceNotFound" in simulated.az_fails(f"restore-point show {POINT}")
    simulated.az("restore-point collection delete -g default --collection-name kept -y")
    assert simulated.az("restore-point collection list-all") == []


def test_the_sdk_reads_and_writes_them(simulated: Cloud) -> None:
    script = Path(__file__).with_name("restore_points_session.py")
    assert json.loads(simulated.run(SDK, script, "default", "web")) == {
        "vm": True,
        "mode": "CrashConsistent",
        "disk": True,
        "status": "ProvisioningState/succeeded",
        "disks": True,
        "points": ["one"],
        "refused": "InvalidParameter",
        "left": [],
    }
