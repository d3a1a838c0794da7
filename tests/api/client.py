"""A client of the API for tests: JSON in and out, operations followed to their end."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from skerry.control import ControlPlane
from skerry.host.agent import Agent
from skerry.host.checkpoints.fake import FakeCheckpoints
from skerry.host.compute.fake import FakeCompute
from skerry.host.factory import fake_agent
from skerry.host.guests import Guests
from skerry.host.network.fake import FakeNetwork
from skerry.host.storage.fake import FakeStorage
from skerry.host.warm.fake import FakeWarmStarts
from skerry.hostspec import VmSpec
from skerry.hostspec.client import SpecSource

BASE = "https://localhost:8443"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDYvVr0GoQ0nOGY6Tj4SgSXyhZs9Z7qkVSb0Z0Z9d0mC me@here"


@dataclass
class Answer:
    """A response: `body` is its JSON, or None when it has none."""

    status: int
    body: Any
    headers: Any

    @property
    def code(self) -> str:
        """The error code of a refusal."""
        return str(self.body["error"]["code"])

    @property
    def message(self) -> str:
        """The error message of a refusal."""
        return str(self.body["error"]["message"])


@dataclass(frozen=True)
class FakeHost:
    """A host that boots nothing, with the knobs of its parts."""

    agent: Agent
    compute: FakeCompute
    network: FakeNetwork
    storage: FakeStorage
    checkpoints: FakeCheckpoints
    warm: FakeWarmStarts

    @classmethod
    def of(cls, source: SpecSource) -> "FakeHost":
        """A fake host that has a Debian 12 image."""
        compute, network, storage = FakeCompute(), FakeNetwork(Path("/nonexistent"), Guests()), FakeStorage()
        checkpoints, warm = FakeCheckpoints(compute, storage), FakeWarmStarts()
        agent = fake_agent(
            source, compute=compute, network=network, storage=storage, checkpoints=checkpoints, warm=warm
        )
        return cls(agent, compute, network, storage, checkpoints, warm)


class Arm:
    """A client of the API. Paths are below the subscription unless they start with `/`."""

    def __init__(self, client: TestClient, token: str, control: ControlPlane, host: FakeHost) -> None:
        self.client, self.control, self.host = client, control, host
        self.subscription = control.service.subscription
        self.token, self._headers = token, {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request; adds an api-version when the path has none."""
        if path.startswith("https://"):
            path = path.removeprefix(BASE)
        if not path.startswith("/"):
            path = f"/subscriptions/{self.subscription}/{path}"
        if "api-version=" not in path:
            path += ("&" if "?" in path else "?") + "api-version=2025-04-01"
        sent: dict[str, Any] = (
            {"content": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        )
        response = self.client.request(method, path, headers={**self._headers, **headers}, **sent)
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return Answer(response.status_code, response.json() if is_json and response.content else None, response.headers)

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.call("GET", path, **headers)

    def put(self, path: str, body: Any, **headers: str) -> Answer:
        """PUT."""
        return self.call("PUT", path, body, **headers)

    def post(self, path: str, body: Any = None) -> Answer:
        """POST."""
        return self.call("POST", path, body)

    def delete(self, path: str, **headers: str) -> Answer:
        """DELETE."""
        return self.call("DELETE", path, **headers)

    def wait(self, answer: Answer, seconds: float = 20) -> Answer:
        """Follow a long-running operation to its end; the last answer of its status URL, or `answer` itself."""
        link = answer.headers.get("azure-asyncoperation")
        end = time.monotonic() + seconds
        while link and time.monotonic() < end:
            status = self.get(link)
            assert status.status == 200, status.body
            if status.body["status"] not in ("InProgress", "Running"):
                return status
            time.sleep(0.02)
        assert not link, f"still running after {seconds} s: {status.body}"
        return answer

    def done(self, answer: Answer) -> Answer:
        """Like `wait`, but the request and its operation must succeed."""
        assert answer.status < 300, answer.body
        last = self.wait(answer)
        assert last is answer or last.body["status"] == "Succeeded", last.body
        return last

    def group(self, name: str = "rg", location: str = "local") -> str:
        """A resource group; its path."""
        answer = self.put(f"resourcegroups/{name}", {"location": location})
        assert answer.status in (200, 201), answer.body
        return f"resourceGroups/{name}"

    def nic(self, group: str, name: str = "nic", *, public: bool = False) -> str:
        """A NIC in a VNet `net` made for it (and a public address `<name>-ip`); its id."""
        network = f"{group}/providers/Microsoft.Network"
        vnet = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}
        if self.get(f"{network}/virtualNetworks/net").status == 404:
            subnet = {"name": "default", "properties": {"addressPrefix": "10.0.0.0/24"}}
            body = {"location": "local", "properties": {**vnet, "subnets": [subnet]}}
            self.done(self.put(f"{network}/virtualNetworks/net", body))
        prefix = f"/subscriptions/{self.subscription}/{network}"
        configuration: dict[str, Any] = {"subnet": {"id": f"{prefix}/virtualNetworks/net/subnets/default"}}
        if public:
            body = {
                "location": "local",
                "sku": {"name": "Standard"},
                "properties": {"publicIPAllocationMethod": "Static"},
            }
            self.done(self.put(f"{network}/publicIPAddresses/{name}-ip", body))
            configuration["publicIPAddress"] = {"id": f"{prefix}/publicIPAddresses/{name}-ip"}
        properties = {"ipConfigurations": [{"name": "one", "properties": configuration}]}
        self.done(self.put(f"{network}/networkInterfaces/{name}", {"location": "local", "properties": properties}))
        return f"{prefix}/networkInterfaces/{name}"

    def vm_body(self, nic: str, **properties: Any) -> dict[str, Any]:
        """The body of a small VM with a key."""
        ssh = {"publicKeys": [{"path": "/home/me/.ssh/authorized_keys", "keyData": KEY}]}
        return {
            "location": "local",
            "properties": {
                "hardwareProfile": {"vmSize": "Standard_B1s"},
                "storageProfile": {
                    "osDisk": {"createOption": "FromImage"},
                    "imageReference": {
                        "publisher": "Debian",
                        "offer": "debian-12",
                        "sku": "12-gen2",
                        "version": "latest",
                    },
                },
                "osProfile": {
                    "computerName": "web",
                    "adminUsername": "me",
                    "linuxConfiguration": {"disablePasswordAuthentication": True, "ssh": ssh},
                },
                "networkProfile": {"networkInterfaces": [{"id": nic}]},
                **properties,
            },
        }

    def vm(self, group: str, name: str = "web", **properties: Any) -> str:
        """A running VM on a NIC `<name>-nic`; its path."""
        path = f"{group}/providers/Microsoft.Compute/virtualMachines/{name}"
        self.done(self.put(path, self.vm_body(self.nic(group, f"{name}-nic"), **properties)))
        return path

    def spec(self, vm: str) -> VmSpec:
        """What the host should have of a VM."""
        identifier = self.get(vm).body["properties"]["vmId"]
        return next(spec for spec in self.specs() if spec.id == identifier)

    def specs(self) -> tuple[VmSpec, ...]:
        """All VMs that the host should have."""
        with self.control.store.read() as work:
            return work.hosts.spec("local").vms

    def power(self, vm: str) -> str:
        """The VM's power state."""
        statuses = self.get(f"{vm}/instanceView").body["statuses"]
        return str(statuses[1]["code"].removeprefix("PowerState/"))
