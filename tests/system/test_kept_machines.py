"""A real guest that counts in memory and on its disk, kept, put back and copied through API and command line."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.cloud import free_port, until
from tests.system.compute import counting_guest
from tests.system.real import Real, disk_path, vm_path

pytestmark = [
    pytest.mark.checkpoints,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as Skerry's default mode does"),
]
POINT = "/providers/Microsoft.Compute/restorePointCollections/vm-checkpoints/restorePoints/one"


class Counting(Real):
    """A Skerry whose VMs count."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder, port)
        counting_guest.write_disk(folder / "mini.raw")

    def counts(self) -> list[int]:
        """What the guest has printed so far."""
        lines = self.skerry("vm", "console", "vm").splitlines()
        return [int(line, 16) for line in lines if len(line) == 8 and not line.strip("0123456789ABCDEF")]

    def counts_beyond(self, number: int) -> int:
        until(lambda: (self.counts() or [0])[-1] > number, 60, f"it counts beyond {number}")
        return self.counts()[-1]


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Counting]:
    found = Counting(tmp_path, free_port())
    found.up()
    yield found
    found.skerry("down", check=False)


def test_a_machine_is_kept_put_back_and_copied(real: Counting) -> None:
    real.create(real.network())
    diagnostics = {"diagnosticsProfile": {"bootDiagnostics": {"enabled": True}}}
    real.done("PATCH", vm_path(), {"properties": diagnostics})
    before = real.counts_beyond(20)
    real.skerry("vm", "checkpoint", "vm", "--name", "one")
    kept = real.get(POINT)["properties"]["skerry"]
    assert kept["memory"] and kept["sizeBytes"] > 0 and kept["diskPauseSeconds"] <= kept["pauseSeconds"]
    after = real.counts()[-1]
    later = real.counts_beyond(after + 60)
    real.skerry("vm", "restore", "vm", "-y")
    until(lambda: real.counts()[-1] < later, 60, "it counts on from then")
    again = real.counts_beyond(before)
    assert again > before  # it didn't begin anew: that takes a boot, and the numbers from 1
    assert 1 not in real.counts()[real.counts().index(later) :]

    _copy(real, before, after)
    fork = {"imageReference": {"id": _id(real, POINT)}, "osDisk": {"createOption": "FromImage"}}
    body = {**real.get(vm_path()), "name": "second"}
    properties = {"hardwareProfile": body["properties"]["hardwareProfile"], "storageProfile": fork}
    nics = {"networkProfile": {"networkInterfaces": [{"id": real.network("nic2")}]}}
    refused = real.fails("PUT", vm_path("second"), {"location": "local", "properties": {**properties, **nics}})
    assert "no osProfile" in str(refused)  # it is forked from a disk that nobody described

    real.skerry("vm", "delete-checkpoint", "vm", "one", "-y")
    real.delete()
    real.remove_disks()
    real.clean()
    assert [*real.state.glob("checkpoints/*"), *real.state.glob("frozen/*")] == []


def _copy(real: Counting, before: int, after: int) -> None:
    """A disk made of the checkpoint holds the number of then."""
    source = real.get(f"{POINT}/diskRestorePoints")["value"][0]["id"]
    creation = {"creationData": {"createOption": "Restore", "sourceResourceId": source}}
    disks = set((real.state / "disks").glob("[!.]*.qcow2"))
    real.done("PUT", disk_path("copy"), {"location": "local", "properties": creation})
    (path,) = {*(real.state / "disks").glob("[!.]*.qcow2")} - disks
    read = ["qemu-io", "-r", "-U", "-f", "qcow2", "-c", "read -v 512 4", str(path)]
    words = subprocess.run(read, check=True, capture_output=True, text=True).stdout.split()
    assert before <= int.from_bytes(bytes.fromhex("".join(words[1:5])), "little") <= after + 5


def _id(real: Counting, path: str) -> str:
    with real.client() as client:
        return f"{client.group('rg')}{path}"
