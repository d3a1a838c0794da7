"""Microsoft.Network/networkSecurityGroups, their rules and the six default rules that each ends with."""

import uuid

from skerry.arm.descriptor import AnyType, EmbeddedType, PutContext, ResourceType
from skerry.resources.network.network_security_group import model
from skerry.resources.network.network_security_group.wire import (
    NetworkSecurityGroup,
    NetworkSecurityGroupProperties,
    validate,
)
from skerry.resources.network.security_rules import DefaultSecurityRule, SecurityRule
from skerry.resources.network.shared import DEFAULT_RULE, NSG, RULE, adopt
from skerry.resources.network.steps import apply_change


def _put(context: PutContext[NetworkSecurityGroup]) -> None:
    new, before = context.new, context.old.properties if context.old else None
    properties = new.properties = new.properties or NetworkSecurityGroupProperties()
    properties.security_rules = properties.security_rules or []
    adopt(properties.security_rules, new.id, RULE, (before.security_rules or []) if before else [])
    validate(new, properties)
    properties.resource_guid = before.resource_guid if before else str(uuid.uuid4())
    apply_change(context, model.vnets(context.work, context.row.key))


TYPES: tuple[AnyType, ...] = (
    ResourceType(NSG, NetworkSecurityGroup, _put, in_use=model.in_use, expand=model.expand, brief=False),
    EmbeddedType(RULE, NSG, "securityRules", SecurityRule),
    EmbeddedType(DEFAULT_RULE, NSG, "defaultSecurityRules", DefaultSecurityRule, read_only=True),
)
