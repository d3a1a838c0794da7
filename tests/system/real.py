"""A Skerry on this machine's own QEMU with a guest that boots in a blink, for what must survive a kill.

It is spoken to by plain requests: az takes a second for each. `traces` finds whatever a VM leaves behind.
"""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.system.cloud import SKERRY, until
from tests.system.compute.mini_guest import write_disk

from skerry.cli.client import Client, Reply
from skerry.cli.errors import ApiError
from skerry.cli.state import credentials, running
from skerry.host.compute.qemu import process, record
from skerry.host.compute.qemu.record import Record
from skerry.host.network import daemons, netns
from skerry.host.network.names import Names

MINI = {"publisher": "skerry", "offer": "imported", "sku": "mini", "version": "latest"}
CGROUPS = Path("/sys/fs/cgroup")


class Real:
    """One state folder and port. `up` and `kill` any number of times.

    `alone`: the server gets a mount namespace of its own, in which `covered` hides what its host has.
    """

    def __init__(self, folder: Path, port: int, *, alone: bool = False) -> None:
        self.state, self.port = folder / "state", port
        self._enter = ["unshare", "--mount", "--propagation", "private"] if alone else []
        self.names = Names.of(self.state)
        self.seen: set[str] = set()
        self.environment = {**os.environ, "SKERRY_STATE": str(self.state)}
        write_disk(folder / "mini.raw")
        self.skerry("image", "import", "--name", "mini", "--generation", "V1", str(folder / "mini.raw"))

    # --- the server ----------------------------------------------------------------------------------------------

    def skerry(self, *words: str, check: bool = True) -> str:
        """`skerry WORDS…`; all that it prints."""
        argv = [*(self._enter if words[0] == "up" else []), str(SKERRY), *words]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=400, check=False)
        assert not check or done.returncode == 0, f"{argv}: {done.stdout}\n{done.stderr}\n{self.log()}"
        return done.stdout + done.stderr

    def up(self) -> None:
        """Start it; its host has told then what images it has."""
        self.skerry("up", "--detach", "--port", str(self.port), "--accel", "tcg")
        until(lambda: bool(self.query("SELECT id FROM host_observed WHERE kind = 'image'")), 60, "the image is known")

    def down(self) -> None:
        self.skerry("down")

    @property
    def pid(self) -> int:
        found = running(self.state)
        assert found, f"no Skerry runs:\n{self.log()}"
        return found.pid

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the server and wait until it is gone."""
        pid = self.pid
        os.kill(pid, number)
        until(lambda: process.look_up(pid) is None, 60, "the server's end")

    def mount(self, *words: str | Path) -> None:
        """Change what the server's own mount namespace has."""
        argv = ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", *map(str, words)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{argv}: {done.stderr}"

    @contextmanager
    def covered(self, path: Path | str, other: Path | str) -> Iterator[None]:
        """The server finds `other` at `path`."""
        self.mount("mount", "--bind", other, path)
        try:
            yield
        finally:
            self.mount("umount", path)

    @contextmanager
    def read_only(self, path: Path | str) -> Iterator[None]:
        """The server may write nothing below `path`."""
        with self.covered(path, path):
            self.mount("mount", "-o", "remount,bind,ro", path)
            yield

    def log(self) -> str:
        path = self.state / "logs" / "skerry.log"
        return path.read_text(errors="replace")[-6000:] if path.exists() else ""

    # --- requests --------------------------------------------------------------------------------------------------

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A fresh connection: a killed server's is of no use."""
        token = self.state / "azure" / "test-token.json"
        client = Client(f"https://localhost:{self.port}", self.state / "tls" / "ca.pem", credentials(self.state), token)
        try:
            yield client
        finally:
            client.close()

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        """One request to a path below the group `rg`."""
        with self.client() as client:
            return client.request(method, f"{client.group('rg')}{path}", body)

    def get(self, path: str) -> Any:
        """What is there; None for nothing."""
        with self.client() as client:
            return client.get(f"{client.group('rg')}{path}")

    def done(self, method: str, path: str, body: Any = None) -> None:
        """A change, to its end."""
        with self.client() as client:
            client.change(method, f"{client.group('rg')}{path}", body)

    def network(self, nic: str = "nic", vnet: str = "net") -> str:
        """A NIC with a public address in a VNet of its own, as often as asked for; its id."""
        with self.client() as client:
            group = client.group("rg")
            client.request("PUT", group, {"location": "local"})
            provider = f"{group}/providers/Microsoft.Network"
            subnets = [{"name": "s", "properties": {"addressPrefix": "10.0.0.0/24"}}]
            space = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": subnets}
            client.change("PUT", f"{provider}/virtualNetworks/{vnet}", _body(space))
            client.change("PUT", f"{provider}/publicIPAddresses/{nic}", address())
            ip = {
                "subnet": {"id": f"{provider}/virtualNetworks/{vnet}/subnets/s"},
                "publicIPAddress": {"id": f"{provider}/publicIPAddresses/{nic}"},
            }
            configurations = [{"name": "one", "properties": ip}]
            client.change("PUT", f"{provider}/networkInterfaces/{nic}", _body({"ipConfigurations": configurations}))
            return f"{provider}/networkInterfaces/{nic}"

    def from_image(self, nic: str, image: dict[str, str] = MINI) -> dict[str, Any]:
        """The body of a VM made from an image. The blinking guest never reports Ready: the create waits for that."""
        disk = {"createOption": "FromImage", "deleteOption": "Delete"}
        profile = {"computerName": "vm", "adminUsername": "me", "adminPassword": "Correct-Horse-9"}
        storage = {"osDisk": disk, "imageReference": image}
        return _body({**_hardware(nic), "storageProfile": storage, "osProfile": profile})

    def create(self, nic: str, name: str = "vm") -> str:
        """A VM that runs on a disk of its own, which goes with it; its vmId. Without an osProfile that is all."""
        made = {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1, "osType": "Linux", "hyperVGeneration": "V1"}
        self.done("PUT", disk_path(name), _body(made))
        self._make_bootable(name)
        disk = {"createOption": "Attach", "deleteOption": "Delete", "osType": "Linux"}
        with self.client() as client:
            disk["managedDisk"] = {"id": f"{client.group('rg')}{disk_path(name)}"}  # type: ignore[assignment]
        self.done("PUT", vm_path(name), _body({**_hardware(nic), "storageProfile": {"osDisk": disk}}))
        return self.vm_id(name)

    def _make_bootable(self, name: str) -> None:
        """Write the blinking guest onto an empty disk."""
        # Its file is the newest: it was just made.
        path = max((self.state / "disks").glob("[!.]*.qcow2"), key=lambda path: path.stat().st_mtime_ns)
        write = f"write -q -s {self.state.parent / 'mini.raw'} 0 512"
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", write, str(path)], check=True, capture_output=True)

    def power_off(self, name: str = "vm") -> None:
        """By pulling the plug."""
        with self.client() as client:
            client.request("POST", f"{client.group('rg')}{vm_path(name)}/powerOff", query={"skipShutdown": "true"})
        until(lambda: self.power(name) == "stopped" and self.settled(name) == "Succeeded", 60, "it is off")

    def delete(self, name: str = "vm") -> None:
        self.done("DELETE", vm_path(name))

    def remove_disks(self) -> None:
        """Those that no VM took with it."""
        for disk in self.get("/providers/Microsoft.Compute/disks")["value"]:
            self.done("DELETE", disk_path(disk["name"]))

    def vm_id(self, name: str = "vm") -> str:
        found = str(self.get(vm_path(name))["properties"]["vmId"])
        self.seen.add(found)
        return found

    def power(self, name: str = "vm") -> str:
        view = self.get(f"{vm_path(name)}/instanceView")
        return str(view["statuses"][1]["code"].removeprefix("PowerState/"))

    def settled(self, name: str = "vm", seconds: float = 60) -> str | None:
        """The VM's provisioningState once no operation works on it; None when it is gone."""
        found: list[str | None] = []

        def ended() -> bool:
            vm = self.get(vm_path(name))
            found[:] = [vm["properties"]["provisioningState"] if vm else None]
            return found[0] in ("Succeeded", "Failed", None)

        until(ended, seconds, f"{name} settles")
        return found[0]

    def fails(self, method: str, path: str, body: Any = None) -> ApiError:
        """Why a change failed, at once or later, as it must."""
        try:
            self.done(method, path, body)
        except ApiError as error:
            return error
        raise AssertionError(f"{method} {path} should have failed")

    # --- the host --------------------------------------------------------------------------------------------------

    def folder(self, vm: str) -> Path:
        return self.state / "vms" / vm

    def record(self, vm: str) -> Record:
        kept = record.load(self.folder(vm))
        assert kept is not None
        return kept

    def qemus(self, vm: str) -> list[int]:
        """The processes that run a VM."""
        return [pid for pid in _pids() if vm in process._arguments(pid)]

    def namespaces(self) -> list[str]:
        """Of VNets."""
        return [name for name in netns.names(self.names.prefix) if name not in (self.names.guests, self.names.router)]

    def traces(self) -> dict[str, list[str]]:
        """What any VM, disk or VNet has left: nothing after the last one is deleted."""
        found = {
            "processes": self.processes(),
            "namespaces": self.namespaces(),
            "files": [str(path) for name in ("vms", "disks") for path in (self.state / name).glob("**/*")],
            "runtime": [str(path) for path in self.names.runtime.glob("*") if not path.name.startswith("slirp.")],
            "cgroups": [
                str(path)
                for vm in self.seen
                for path in (*CGROUPS.glob(f"skerry/{vm}"), *CGROUPS.glob(f"*/skerry/{vm}"))
            ],
            "rows": self._rows(),
        }
        return {kind: names for kind, names in found.items() if names}

    def clean(self) -> None:
        """Wait until nothing is left of any VM."""
        end = time.monotonic() + 60
        while self.traces() and time.monotonic() < end:
            time.sleep(0.05)
        left = self.traces()
        assert not left, f"{left}\n{self.log()}"

    def processes(self) -> list[str]:
        """The command lines of guests, of VNets' daemons, and of helpers that work in our folders."""
        marks = (f"{self.state}/", str(self.names.runtime), f"{netns.DIRECTORY}/{self.names.prefix}", *self.seen)
        lines = (" ".join(daemons.arguments(pid)) for pid in _pids())
        others = ("slirp4netns", "skerry")  # the way out stays; the server itself
        ours = (line for line in lines if any(mark in line for mark in marks))
        return [line for line in ours if not line.startswith(others) and " -m skerry " not in line]

    def waits_for_ready(self) -> bool:
        """Whether all that is still to be done is the guest's report."""
        return self.query("SELECT step FROM operations WHERE status = 'InProgress'") == ["await_ready"]

    def _rows(self) -> list[str]:
        queries = (
            "SELECT 'resource ' || id FROM resources WHERE type IN ('microsoft.compute/virtualmachines', "
            "'microsoft.compute/disks')",
            "SELECT 'operation ' || kind FROM operations WHERE status = 'InProgress'",
            "SELECT 'spec ' || kind || id FROM host_specs",
            "SELECT 'seen ' || kind || id FROM host_observed WHERE kind NOT IN ('image', 'warm')",
        )
        return [row for query in queries for row in self.query(query)]

    def query(self, text: str) -> list[str]:
        """The first column of what the database answers."""
        with closing(sqlite3.connect(f"file:{self.state}/skerry.db?mode=ro", uri=True)) as database:
            return [str(row[0]) for row in database.execute(text)]


def vm_path(name: str = "vm") -> str:
    return f"/providers/Microsoft.Compute/virtualMachines/{name}"


def address() -> dict[str, Any]:
    """The body of a public address."""
    return {**_body({"publicIPAllocationMethod": "Static"}), "sku": {"name": "Standard"}}


def disk_path(name: str = "vm") -> str:
    return f"/providers/Microsoft.Compute/disks/{name}"


def _hardware(nic: str) -> dict[str, Any]:
    return {
        "hardwareProfile": {"vmSize": "Standard_B1s"},
        "networkProfile": {"networkInterfaces": [{"id": nic}]},
    }


def soon(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Wait for a moment that may be gone in a millisecond; whether it came."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
    return False


def _body(properties: dict[str, Any]) -> dict[str, Any]:
    return {"location": "local", "properties": properties}


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
