"""Where a deployment happens: what a template can ask about its surroundings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Scope:
    """The resource group, subscription and cloud that a template is deployed to.

    `environment` is what `environment()` answers. `providers(namespace, type or None)` answers what `providers()`
    does: with a type `{"resourceType", "locations", "apiVersions"}`, without one `{"namespace", "resourceTypes"}`;
    it raises LookupError for a namespace or type that is not there.
    """

    subscription_id: str
    tenant_id: str
    resource_group: str
    resource_group_id: str
    location: str
    deployment_name: str
    deployment_mode: str
    environment: Mapping[str, Any]
    providers: Callable[[str, str | None], Mapping[str, Any]]
    tags: Mapping[str, str] = field(default_factory=dict)
    subscription_name: str = "Skerry"
