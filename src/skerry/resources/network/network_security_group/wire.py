"""Microsoft.Network/networkSecurityGroups on the wire (https://learn.microsoft.com/rest/api/virtualnetwork)."""

from typing import Annotated

from msgspec import Meta

from skerry.arm.descriptor import ArmResource, Properties, ReadOnly
from skerry.resources.network.security_rules import (
    DefaultSecurityRule,
    SecurityRule,
    check_conflicts,
    default_rules,
    normalise,
)
from skerry.resources.network.shared import Reference, refuse_true


class NetworkSecurityGroupProperties(Properties):
    """`properties` of a group. `network_interfaces` and `subnets` are shown, never read."""

    security_rules: Annotated[list[SecurityRule], Meta(max_length=1000)] | None = None
    default_security_rules: ReadOnly[list[DefaultSecurityRule] | None] = None
    flush_connection: bool | None = None
    network_interfaces: ReadOnly[list[Reference] | None] = None
    subnets: ReadOnly[list[Reference] | None] = None
    resource_guid: ReadOnly[str | None] = None
    provisioning_state: ReadOnly[str | None] = None


class NetworkSecurityGroup(ArmResource, kw_only=True):
    """A network security group with its rules."""

    properties: NetworkSecurityGroupProperties | None = None


def validate(group: NetworkSecurityGroup, properties: NetworkSecurityGroupProperties) -> None:
    """Check the rules, which have their ids already, and complete what GET shows. Raises BadRequest."""
    refuse_true(
        "flushConnection", properties.flush_connection, "flushConnection true would cut flows that are allowed."
    )
    rules = properties.security_rules or []
    for rule in rules:
        normalise(rule)
    check_conflicts(rules)
    properties.default_security_rules = default_rules(group.id)
    properties.network_interfaces = properties.subnets = None
    properties.provisioning_state = "Succeeded"
