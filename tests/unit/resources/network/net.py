"""The network types on a temporary store, driven through the service that the wire uses."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from skerry.arm.descriptor import ActionContext, ResourceType
from skerry.arm.errors import ArmError
from skerry.arm.ids import parse_id
from skerry.arm.service import PutResult, ResourceService
from skerry.engine.engine import Engine
from skerry.hostspec import HostCapacity, Observed, PortSpec, VnetSpec
from skerry.resources.network import spec
from skerry.store import Link, ResourceRow, Store

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
NETWORK = f"{GROUP}/providers/Microsoft.Network"
HOST = "local"
Json = dict[str, Any]


def rule(priority: int = 100, **changes: Any) -> Json:
    """`properties` of a rule that lets SSH in."""
    return {
        "priority": priority,
        "direction": "Inbound",
        "access": "Allow",
        "protocol": "Tcp",
        "sourcePortRange": "*",
        "destinationPortRange": "22",
        "sourceAddressPrefix": "*",
        "destinationAddressPrefix": "*",
        **changes,
    }


class Net:
    """Paths are below the group's network provider: `virtualNetworks/v`."""

    def __init__(self, store: Store, service: ResourceService, engine: Engine) -> None:
        self.store, self.service, self.engine = store, service, engine

    def id(self, path: str) -> str:
        """The resource id of a path."""
        return f"{NETWORK}/{path}"

    def put_result(self, path: str, properties: Json | None = None, **envelope: Any) -> PutResult:
        """PUT `properties`; a child has no location."""
        location = {} if path.count("/") > 1 else {"location": "local"}
        body = {**location, "properties": properties or {}, **envelope}
        with self.store.write() as work:
            return self.service.put(work, parse_id(self.id(path)), body)

    def put(self, path: str, properties: Json | None = None, **envelope: Any) -> Json:
        """The body that a PUT answers."""
        body: Json = orjson.loads(self.put_result(path, properties, **envelope).body)
        return body

    def put_back(self, path: str) -> tuple[Json, Json]:
        """GET a resource and PUT it as it is, as az does: both bodies, without ETags."""
        before = self.get(path)
        with self.store.write() as work:
            self.service.put(work, parse_id(self.id(path)), before)
        return _plain(before), _plain(self.get(path))

    def patch(self, path: str, body: Json) -> Json:
        """The body that a PATCH answers."""
        with self.store.write() as work:
            answer: Json = orjson.loads(self.service.patch(work, parse_id(self.id(path)), body).body)
        return answer

    def refused(self, path: str, properties: Json | None = None, **envelope: Any) -> ArmError:
        """The refusal of a PUT, which must leave everything as it was."""
        with pytest.raises(ArmError) as caught:
            self.put(path, properties, **envelope)
        return caught.value

    def get(self, path: str) -> Json:
        """A GET's body."""
        with self.store.read() as work:
            body: Json = orjson.loads(self.service.get(work, parse_id(self.id(path))))
        return body

    def delete(self, path: str) -> int:
        """The status of a DELETE."""
        with self.store.write() as work:
            return self.service.delete(work, parse_id(self.id(path))).status

    def not_deleted(self, path: str) -> ArmError:
        """The refusal of a DELETE."""
        with pytest.raises(ArmError) as caught:
            self.delete(path)
        return caught.value

    def view(self, path: str, name: str, query: Mapping[str, str] | None = None) -> Json:
        """A GET of one of the resource's views."""
        resource = parse_id(self.id(path))
        kind = self.service.registry.get(resource.type)
        assert isinstance(kind, ResourceType)
        with self.store.read() as work:
            row = self.service.require(work, resource)
            context = ActionContext(work, self.service, resource, row, None, query or {}, "")
            view = kind.view(name)
            assert view is not None
            answer: Json = view.run(context)
        return answer

    # -- ready-made resources

    def vnet(self, name: str = "v", prefix: str = "10.0.0.0/16", **subnets: str) -> Json:
        """A VNet with subnets by name; without any, with `s` at 10.0.0.0/24."""
        wanted = subnets or {"s": "10.0.0.0/24"}
        children = [{"name": child, "properties": {"addressPrefix": text}} for child, text in wanted.items()]
        return self.put(f"virtualNetworks/{name}", {"addressSpace": {"addressPrefixes": [prefix]}, "subnets": children})

    def configuration(self, subnet: str = "v/s", public: str | None = None, **properties: Any) -> Json:
        """`properties` of a NIC in a subnet given as `vnet/subnet`."""
        vnet, _, name = subnet.partition("/")
        inner: Json = {"subnet": {"id": self.id(f"virtualNetworks/{vnet}/subnets/{name}")}, **properties}
        if public:
            inner["publicIPAddress"] = {"id": self.id(f"publicIPAddresses/{public}")}
        return {"ipConfigurations": [{"name": "one", "properties": inner}]}

    def nic(self, name: str = "n", subnet: str = "v/s", nsg: str | None = None, public: str | None = None) -> Json:
        """A NIC with a dynamic address."""
        properties = self.configuration(subnet, public)
        if nsg:
            properties["networkSecurityGroup"] = {"id": self.id(f"networkSecurityGroups/{nsg}")}
        return self.put(f"networkInterfaces/{name}", properties)

    def address(self, name: str = "n") -> str:
        """A NIC's private address."""
        inner = self.get(f"networkInterfaces/{name}")["properties"]["ipConfigurations"][0]["properties"]
        address: str = inner["privateIPAddress"]
        return address

    # -- hosts

    def key(self, path: str) -> str:
        """The key of a path's row."""
        return self.id(path).lower()

    def place(self, nic: str = "n", host: str = HOST) -> int:
        """Put a NIC's VM on a host; the spec revision."""
        with self.store.write() as work:
            return spec.place_nic(work, self.key(f"networkInterfaces/{nic}"), host, "vm-1", hostname="web")

    def unplace(self, nic: str = "n") -> int | None:
        """Take a NIC's VM off its host."""
        with self.store.write() as work:
            return spec.unplace_nic(work, self.key(f"networkInterfaces/{nic}"))

    def attach(self, nic: str = "n", vm: str = "web") -> str:
        """A VM's row that uses the NIC, as the VM type writes it; the VM's id."""
        identifier = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/{vm}"
        nics = {"networkInterfaces": [{"id": self.id(f"networkInterfaces/{nic}")}]}
        row = ResourceRow(
            key=identifier.lower(),
            id=identifier,
            type="microsoft.compute/virtualmachines",
            group_key=GROUP.lower(),
            name=vm,
            body=orjson.dumps({"properties": {"networkProfile": nics}}),
        )
        with self.store.write() as work:
            work.resources.save(row)
            work.resources.set_links(row.key, [Link(row.key, self.key(f"networkInterfaces/{nic}"), "nic")])
        return identifier

    def vnets(self, host: str = HOST) -> tuple[VnetSpec, ...]:
        """What a host should have."""
        with self.store.read() as work:
            return work.hosts.spec(host).vnets

    def port(self) -> PortSpec:
        """The one port of the one VNet on the host."""
        (vnet,) = self.vnets()
        (port,) = vnet.ports
        return port

    def report(self, *problems: tuple[str, str, str], revision: int | None = None) -> None:
        """The host reports that it has applied a revision (its newest)."""
        with self.store.write() as work:
            applied = work.hosts.revision(HOST) if revision is None else revision
            work.hosts.record(HOST, Observed(applied, HostCapacity(4, 2**33, 2**36, "fake"), problems=problems))
            work.operations.wake(host=HOST)

    def status(self, result: PutResult) -> str:
        """How the operation of a PUT stands after the engine has run what is due."""
        assert result.operation is not None
        self.engine.run_due()
        with self.store.read() as work:
            operation = work.operations.get(result.operation.id)
        assert operation is not None
        return operation.status


def _plain(body: Any) -> Any:
    """A body without its ETags."""
    if isinstance(body, dict):
        return {name: _plain(value) for name, value in body.items() if name != "etag"}
    return [_plain(item) for item in body] if isinstance(body, list) else body
