"""Quotas: what is used of them, and what would exceed them."""

from collections.abc import Callable
from typing import Any

import pytest

from skerry.arm.errors import Conflict
from skerry.arm.rows import set_body
from skerry.hostspec import VmSpec
from skerry.resources.compute.catalogue import usages
from skerry.resources.compute.catalogue.sizes import FAMILIES, get_size
from skerry.resources.compute.catalogue.usages import check_quota
from skerry.store import ResourceRow, UnitOfWork

Get = Callable[..., Any]
VCPU_LIMIT = 1000
GROUP = "/subscriptions/sub/resourcegroups/rg"


@pytest.fixture(autouse=True)
def _quota(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is used up soon."""
    monkeypatch.setattr(usages, "VCPU_LIMIT", VCPU_LIMIT)


def add(work: UnitOfWork, kind: str, name: str, body: object, **private: Any) -> None:
    key = f"{GROUP}/providers/{kind}/{name}".lower()
    row = ResourceRow(key, key, kind.lower(), GROUP, name, b"{}", private=private)
    set_body(row, body)
    work.resources.save(row)


def add_vm(work: UnitOfWork, name: str, size: str, host: str = "local") -> None:
    body = {"properties": {"hardwareProfile": {"vmSize": size}}}
    add(work, "Microsoft.Compute/virtualMachines", name, body, host=host)
    if host:
        found = get_size(size)
        work.hosts.add(host)
        work.hosts.put(host, VmSpec(name, name, found.vcpus, found.memory_bytes, (), (), ()))


def used(get: Get, namespace: str = "Microsoft.Compute") -> dict[str, int]:
    listed = get(f"{namespace}/locations/local/usages")["value"]
    return {usage["name"]["value"]: usage["currentValue"] for usage in listed if usage["currentValue"]}


def test_nothing_is_used_at_first(get: Get) -> None:
    listed = get("Microsoft.Compute/locations/local/usages")["value"]
    assert len(listed) == 3 + len(FAMILIES)
    assert {usage["currentValue"] for usage in listed} == {0}
    assert listed[1] == {
        "unit": "Count",
        "currentValue": 0,
        "limit": VCPU_LIMIT,
        "name": {"value": "cores", "localizedValue": "Total Regional vCPUs"},
    }


def test_vcpus_of_allocated_vms_count_by_family(get: Get, work: UnitOfWork) -> None:
    add_vm(work, "a", "Standard_B1s")
    add_vm(work, "b", "Standard_B2ms")
    add_vm(work, "c", "Standard_D4s_v5")
    add_vm(work, "deallocated", "Standard_D8s_v5", host="")
    assert used(get) == {"cores": 7, "virtualMachines": 4, "standardBSFamily": 3, "standardDSv5Family": 4}


def test_network_resources_are_counted(get: Get, work: UnitOfWork) -> None:
    for name in ("a", "b"):
        add(work, "Microsoft.Network/networkInterfaces", name, {})
    add(work, "Microsoft.Network/virtualNetworks", "net", {})
    assert used(get, "Microsoft.Network") == {"NetworkInterfaces": 2, "VirtualNetworks": 1}
    first = get("Microsoft.Network/locations/westus/usages")["value"][0]
    assert first["id"] == "/subscriptions/sub/providers/Microsoft.Network/locations/westus/usages/VirtualNetworks"


def fill(work: UnitOfWork, size: str, vcpus: int) -> None:
    for number in range(vcpus // get_size(size).vcpus):
        add_vm(work, f"{size}-{number}", size)


def test_a_quota_can_be_used_up_and_not_exceeded(work: UnitOfWork) -> None:
    size = get_size("Standard_D96s_v5")
    fill(work, size.name, VCPU_LIMIT - 96)
    check_quota(work, {}, get_size("Standard_D4s_v5"), "local")
    add_vm(work, "last", size.name)
    with pytest.raises(Conflict, match="exceeding approved Standard DSv5 Family Cores quota") as refusal:
        check_quota(work, {}, size, "westus")
    assert refusal.value.code == "OperationNotAllowed"
    for part in ("Location: westus", f"Current Limit: {VCPU_LIMIT}", "Additional Required: 96"):
        assert part in refusal.value.message


def test_all_families_together_have_a_quota_too(work: UnitOfWork) -> None:
    fill(work, "Standard_D96s_v5", VCPU_LIMIT - 96)
    add_vm(work, "last", "Standard_E96s_v5")
    with pytest.raises(Conflict, match="exceeding approved Total Regional Cores quota"):
        check_quota(work, {}, get_size("Standard_F72s_v2"), "local")


def test_a_resize_gives_its_old_vcpus_back(work: UnitOfWork) -> None:
    fill(work, "Standard_D96s_v5", VCPU_LIMIT)
    size = get_size("Standard_D96s_v5")
    check_quota(work, {}, size, "local", replaces=size)
