"""What Prometheus reads, by its own parser."""

from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.api.client import Arm

Samples = Mapping[str, list[tuple[dict[str, str], float]]]


def scrape(arm: Arm) -> Samples:
    """All samples by name, asked for without a token."""
    answer = arm.client.get("/metrics")
    assert answer.status_code == 200
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    return sum(v for had, v in samples.get(name, []) if labels.items() <= had.items())


def test_requests_operations_steps_and_guests_are_counted(arm: Arm) -> None:
    group = arm.group()
    vm = arm.vm(group)
    arm.get(vm)
    arm.get(f"{group}/providers/Microsoft.Compute/virtualMachines/none")
    found, vms = scrape(arm), "Microsoft.Compute/virtualMachines"
    assert value(found, "skerry_request_seconds_count", method="PUT", type=vms, code="2xx") == 1
    assert value(found, "skerry_request_seconds_count", method="GET", type=vms, code="2xx") == 1
    assert value(found, "skerry_request_seconds_count", method="GET", type=vms, code="4xx") == 1
    assert value(found, "skerry_request_seconds_count", type="Microsoft.Resources/resourceGroups") == 1
    assert value(found, "skerry_operation_seconds_count", kind="vm-create", result="Succeeded") == 1
    assert value(found, "skerry_step_seconds_count", kind="vm-create", step="start") == 1
    assert value(found, "skerry_guests", power="running") == 1
    assert value(found, "skerry_operations") == 0
    assert value(found, "skerry_transactions_total") >= value(found, "skerry_commits_total") > 0


def test_operations_in_progress_are_counted(arm: Arm) -> None:
    arm.host.compute.never_ready = True
    group = arm.group()
    arm.put(f"{group}/providers/Microsoft.Compute/virtualMachines/web", arm.vm_body(arm.nic(group)))
    assert value(scrape(arm), "skerry_operations", kind="vm-create") == 1


def test_hosts_tell_what_they_have_and_what_is_used(arm: Arm) -> None:
    before = scrape(arm)
    assert value(before, "skerry_hosts", state="reporting") == 1
    assert value(before, "skerry_host_cpus", host="local") > 0
    assert value(before, "skerry_host_used_vcpus") == 0
    arm.vm(arm.group())
    after = scrape(arm)
    assert value(after, "skerry_host_used_vcpus", host="local") == 1
    assert value(after, "skerry_host_used_memory_bytes") == 1 << 30


def test_with_many_hosts_there_is_one_sum(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skerry.telemetry.hosts.HOSTS_NAMED", 0)
    assert scrape(arm)["skerry_host_cpus"][0][0] == {"host": ""}


def test_what_a_request_names_makes_no_new_series(arm: Arm) -> None:
    arm.get("/no/such/path")
    arm.get("providers/Microsoft.Compute/locations/local/operations/none")
    arm.get("providers/No.Such/things")
    arm.client.request("BREW", "/subscriptions")
    arm.client.get("/healthz")
    types = {labels["type"] for labels, _ in scrape(arm)["skerry_request_seconds_count"]}
    assert types <= {"other", "operations", "health", "Microsoft.Compute/virtualMachines"}


def test_the_process_and_the_build_are_told(arm: Arm) -> None:
    found = scrape(arm)
    assert found["process_resident_memory_bytes"][0][1] > 0
    assert "version" in found["skerry_build_info"][0][0]
