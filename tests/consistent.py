"""What must hold of any state of Skerry, checked on the database and, where one is given, on the fake host."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from sqlalchemy import select

from skerry.arm.rows import body_of
from skerry.control import ControlPlane
from skerry.hostspec import CheckpointSpec, DiskSpec, VmSpec, VnetSpec
from skerry.resources.compute.checkpoints import checkpoint_of
from skerry.resources.compute.disk import model as disks
from skerry.resources.compute.restore_point import model as points
from skerry.resources.compute.virtual_machine import model as machines
from skerry.resources.network import spec as network
from skerry.store import Link, OperationRow, ResourceRow, UnitOfWork, tables

VM, DISK, NIC = (
    f"microsoft.{name}" for name in ("compute/virtualmachines", "compute/disks", "network/networkinterfaces")
)
POINT = "microsoft.compute/restorepointcollections/restorepoints"
VNET, PUBLIC_IP = "microsoft.network/virtualnetworks", "microsoft.network/publicipaddresses"
GROUP, DEPLOYMENT = "microsoft.resources/resourcegroups", "microsoft.resources/deployments"
TRANSIENT = {"Creating", "Updating", "Deleting", "Accepted", "Running"}


def consistent(control: ControlPlane, host: Any = None, *, quiet: bool = False) -> None:
    """Fails with every rule that doesn't hold.

    `quiet`: no operation is in progress, and the host has done all it was told. `host` has the fakes `compute`,
    `storage` and `network` of the one host.
    """
    with control.store.read() as work:
        found = [*State(work).problems(quiet=quiet)]
        if host is not None and quiet:
            found += _on_host(work, host)
    assert not found, "\n".join(found)


class State:
    """All that one transaction sees."""

    def __init__(self, work: UnitOfWork) -> None:
        self.work = work
        self.rows: Mapping[str, ResourceRow] = {row.key: row for row in work.resources.list()}
        connection = work.connection
        self.links = [Link(r.source, r.target, r.kind, r.place) for r in connection.execute(select(tables.links))]
        self.operations: dict[str, OperationRow] = {}
        for identifier in connection.execute(select(tables.operations.c.id)).scalars():
            operation = work.operations.get(identifier)
            assert operation is not None
            self.operations[identifier] = operation

    def problems(self, *, quiet: bool) -> Iterator[str]:
        """Every rule that doesn't hold."""
        yield from self._rows(quiet=quiet)
        yield from self._operations(quiet=quiet)
        yield from self._links()
        yield from self._references()
        yield from self._specs()
        yield from self._use()
        yield from self._tags()

    def _rows(self, *, quiet: bool) -> Iterator[str]:
        for row in self.rows.values():
            if row.group_key not in self.rows or (row.parent and row.parent not in self.rows):
                yield f"{row.key} has no group or parent"
            shown = body_of(row).get("properties", {}).get("provisioningState", row.state)
            if shown != row.state:
                yield f"{row.key} is {row.state} and shows {shown}"
            owner = self.operations.get(row.operation)
            if row.operation and (owner is None or owner.status != "InProgress" or owner.target != row.key):
                yield f"{row.key} is owned by {owner or row.operation}, which has ended or has another target"
            if quiet and (row.operation or row.state in TRANSIENT):
                yield f"{row.key} is {row.state}, and nothing is under way"

    def _operations(self, *, quiet: bool) -> Iterator[str]:
        for operation in self.operations.values():
            ended = operation.status != "InProgress"
            if ended != (operation.ended is not None) or (operation.status in ("Failed", "Canceled")) != bool(
                operation.error
            ):
                yield f"operation {operation} has ended without saying so"
            if quiet and not ended:
                yield f"operation {operation} is in progress"

    def _links(self) -> Iterator[str]:
        """Links start and end at what is there; what is given out once is held once."""
        for link in self.links:
            source, target = self.rows.get(link.source), link.target
            if source is None:
                yield f"{link} starts nowhere"
            elif (
                link.kind in ("nic", "disk", "nsg", "public-ip", "fork", "restore", "origin")
                and target not in self.rows
            ):
                yield f"{link} leads nowhere"
            elif link.kind == "subnet" and target not in self._subnets():
                yield f"{link} leads to no subnet"
        for (kind, target), count in Counter((link.kind, link.target) for link in self.links).items():
            if kind in ("address", "mac", "nic", "disk", "public-ip", "standby") and count > 1:
                yield f"{count} links of kind {kind} lead to {target}"

    def _subnets(self) -> set[str]:
        vnets = (row for row in self.rows.values() if row.type == VNET)
        return {subnet["id"].lower() for row in vnets for subnet in body_of(row)["properties"]["subnets"]}

    def _references(self) -> Iterator[str]:
        """What a body refers to is what the links from it lead to."""
        for row in self.rows.values():
            wanted = _REFERENCES.get(row.type, lambda _row: set())(row)
            links = {(link.kind, link.target) for link in self.links if link.source == row.key}
            if row.type == VM and row.state in ("Deleting", "Failed") and not links:
                continue  # on its way out: what it had can be used again
            if links != wanted:
                yield f"{row.key} refers to {sorted(wanted)}, its links to {sorted(links)}"

    def _specs(self) -> Iterator[str]:
        """Each object of a host's spec belongs to a row that wants it there just so, and the other way round."""
        for host in self.work.hosts.names():
            spec = self.work.hosts.spec(host)
            yield from _differ(host, {vm.id: vm for vm in spec.vms}, self._wanted_vms(host))
            yield from _differ(host, {vnet.id: vnet for vnet in spec.vnets}, self._wanted_vnets(host))
            yield from self._disks(host, {disk.id: disk for disk in spec.disks})
            yield from self._checkpoints(host, {checkpoint.id: checkpoint for checkpoint in spec.checkpoints})

    def _wanted_vms(self, host: str) -> dict[str, VmSpec | None]:
        """None: its row is being changed, or that has failed, and the spec may lag behind."""
        found: dict[str, VmSpec | None] = {}
        for row in self.rows.values():
            if row.type == VM and row.private["host"] == host:
                found[row.private["vm"]] = None if _lags(row) else machines.spec_of(self.work, row)
        return found

    def _wanted_vnets(self, host: str) -> dict[str, VnetSpec | None]:
        found: dict[str, VnetSpec | None] = {}
        for row in self.rows.values():
            nics = network._placed(self.work, row.key).get(host, []) if row.type == VNET else []
            if nics:
                found[network.vnet_spec_id(row.key)] = network._vnet_spec(self.work, row, nics)
        return found

    def _disks(self, host: str, specs: Mapping[str, DiskSpec]) -> Iterator[str]:
        """A disk that no VM has been given a host for is on none yet."""
        rows = {row.private["disk"]: row for row in self.rows.values() if row.type == DISK}
        for key, spec in specs.items():
            row = rows.get(key)
            if row is None:
                yield f"host {host} has disk {key}, which has no row"
            elif not _lags(row) and spec != disks.spec_of(row):
                yield f"host {host} has disk {spec} for {row.key}"
        for row in self.rows.values():
            if row.type == VM and row.private["host"] == host and not row.operation:
                attached = {attachment.disk for attachment in machines.spec_of(self.work, row).disks}
                if not attached <= specs.keys():
                    yield f"host {host} has not the disks of {row.key}"

    def _checkpoints(self, host: str, specs: Mapping[str, CheckpointSpec]) -> Iterator[str]:
        """Each is of a restore point, and a restore point that is there has one."""
        rows = {checkpoint_of(row).id: row for row in self.rows.values() if row.type == POINT}
        for key, spec in specs.items():
            row = rows.get(key)
            if row is None:
                yield f"host {host} has checkpoint {key}, which has no row"
            elif not _lags(row) and spec != points.spec_of(row):
                yield f"host {host} has checkpoint {spec} for {row.key}"
        for key, row in rows.items():
            if not _lags(row) and checkpoint_of(row).host == host and key not in specs:
                yield f"host {host} has no checkpoint for {row.key}"

    def _use(self) -> Iterator[str]:
        for host in self.work.connection.execute(select(tables.hosts)).all():
            vms = self.work.hosts.spec(host.id).vms
            used = sum(vm.vcpus for vm in vms), sum(vm.memory_bytes for vm in vms)
            if (host.used_vcpus, host.used_memory) != used:
                yield f"host {host.id} counts {host.used_vcpus}, {host.used_memory} as used; its VMs are {used}"
        for row in self.rows.values():
            if row.type == NIC:
                users = [self.rows[link.source] for link in self.links if (link.kind, link.target) == ("nic", row.key)]
                place = users[0].private["host"] if users else ""
                if row.private.get("host", "") != place and not any(vm.operation for vm in users):
                    yield f"{row.key} is on {row.private.get('host')}, its VM on {place}"

    def _tags(self) -> Iterator[str]:
        stored = {(r.resource, r.name, r.value) for r in self.work.connection.execute(select(tables.tags))}
        wanted = {
            (row.key, name.lower(), value)
            for row in self.rows.values()
            for name, value in body_of(row).get("tags", {}).items()
        }
        if stored != wanted:
            yield f"tags: {sorted(stored ^ wanted)} are in the table or in a body only"


def _lags(row: ResourceRow) -> bool:
    return bool(row.operation) or row.state == "Failed"


def _vm_references(row: ResourceRow) -> set[tuple[str, str]]:
    properties = body_of(row)["properties"]
    nics = {("nic", nic["id"].lower()) for nic in properties["networkProfile"]["networkInterfaces"]}
    found = nics | {("disk", properties["storageProfile"]["osDisk"]["managedDisk"]["id"].lower())}
    if "standby" in row.private:
        found.add(("standby", machines.standby_key(row.private["vm"])))
    if "fork" in row.private:
        found.add(("fork", row.private["fork"]["point"]))
    if "restoring" in row.private:
        found.add(("restore", row.private["restoring"]))
    return found


def _disk_references(row: ResourceRow) -> set[tuple[str, str]]:
    return {("origin", row.private["awaits"])} if "awaits" in row.private else set()


def _nic_references(row: ResourceRow) -> set[tuple[str, str]]:
    properties = body_of(row)["properties"]
    (configuration,) = (part["properties"] for part in properties["ipConfigurations"])
    subnet = configuration["subnet"]["id"].lower()
    found = {("subnet", subnet), ("address", f"{subnet}/addresses/{configuration['privateIPAddress']}")}
    if "mac" in row.private:
        found.add(("mac", network.mac_link(row).target))
    if "publicIPAddress" in configuration:
        found.add(("public-ip", configuration["publicIPAddress"]["id"].lower()))
    if "networkSecurityGroup" in properties:
        found.add(("nsg", properties["networkSecurityGroup"]["id"].lower()))
    return found


def _vnet_references(row: ResourceRow) -> set[tuple[str, str]]:
    subnets = (subnet["properties"] for subnet in body_of(row)["properties"]["subnets"])
    return {("nsg", s["networkSecurityGroup"]["id"].lower()) for s in subnets if "networkSecurityGroup" in s}


def _public_ip_references(row: ResourceRow) -> set[tuple[str, str]]:
    return {("address", f"publicaddresses/{body_of(row)['properties']['ipAddress']}")}


_REFERENCES = {
    VM: _vm_references,
    DISK: _disk_references,
    NIC: _nic_references,
    VNET: _vnet_references,
    PUBLIC_IP: _public_ip_references,
}


def _differ(host: str, specs: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    for key in specs.keys() | wanted.keys():
        has, wants = specs.get(key), wanted.get(key)
        if key in wanted and wants is None:
            continue
        if has != wants:
            yield f"host {host} is told {_text(has)}; the rows want {_text(wants)}"


def _text(spec: Any) -> str:
    return msgspec.json.encode(spec).decode()


def _on_host(work: UnitOfWork, host: Any) -> Iterator[str]:
    """The one fake host has what its spec wants, and nothing else."""
    (name,) = work.hosts.names()
    spec, found = work.hosts.spec(name), host.compute.machines()
    vms = {vm.id: vm for vm in spec.vms}
    for key in found.keys() - vms.keys():
        yield f"the host has the orphan {found[key]}"
    for key, vm in vms.items():
        machine = found.get(key)
        if vm.power == "stopped" and machine is not None and machine.process:
            yield f"{machine} should be stopped"
    there, here = {disk.id for disk in spec.disks if disk.present}, set(host.storage._sizes)
    if here - there:
        yield f"the host has orphan disks: {here - there}"
    applied = host.network.applied[-1] if host.network.applied else ()
    if sorted(applied, key=lambda vnet: vnet.id) != sorted(spec.vnets, key=lambda vnet: vnet.id):
        yield f"the host's networks are {applied}, its spec wants {spec.vnets}"
