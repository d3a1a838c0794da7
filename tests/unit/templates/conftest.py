from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import settings

from skerry.templates.plan import Plan
from skerry.templates.scope import Scope

# A busy machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg1"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def _providers(namespace: str, kind: str | None) -> Mapping[str, Any]:
    disks = {"resourceType": "disks", "locations": ["local"], "apiVersions": ["2024-03-02", "2023-10-02"]}
    if namespace.lower() != "microsoft.compute" or kind not in (None, "disks"):
        raise LookupError(namespace)
    return disks if kind else {"namespace": "Microsoft.Compute", "resourceTypes": [disks]}


@pytest.fixture
def scope() -> Scope:
    return Scope(
        subscription_id=SUBSCRIPTION,
        tenant_id="22222222-2222-2222-2222-222222222222",
        resource_group="rg1",
        resource_group_id=GROUP,
        location="local",
        deployment_name="dep1",
        deployment_mode="Incremental",
        environment={"name": "Skerry"},
        providers=_providers,
        tags={"owner": "me"},
    )


@pytest.fixture
def load(scope: Scope) -> Callable[..., Plan]:
    """load(resources=[…], parameters={…}, given={…}, …) → the plan of a template with those sections."""

    def _load(given: dict[str, Any] | None = None, **sections: Any) -> Plan:
        template = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": [], **sections}
        return Plan.load(template, given or {}, scope)

    return _load


def no_state(resource_id: str, api_version: str | None, full: bool) -> Any:
    raise AssertionError(f"reference({resource_id}) was not expected")


@pytest.fixture
def value(load: Callable[..., Plan]) -> Callable[..., Any]:
    """value(expression, …sections) → what `[expression]` evaluates to, read through a resource's body."""

    def _value(expression: str, given: dict[str, Any] | None = None, **sections: Any) -> Any:
        resource = {"type": "My.Test/things", "name": "t", "apiVersion": "2024-01-01", "kind": f"[{expression}]"}
        return load(given, resources=[resource], **sections).resources[0].body(no_state)["kind"]

    return _value
