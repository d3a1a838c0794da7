"""Security rules: their wire form, Azure's checks, the default rules, and what a host gets of them.

Source: https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview
"""

import re
from ipaddress import IPv4Network, ip_network
from typing import Annotated, Literal

from msgspec import Meta

from skerry.arm.descriptor import Properties, ReadOnly
from skerry.arm.errors import BadRequest
from skerry.hostspec import SecurityRule as RuleSpec
from skerry.resources.network.shared import DEFAULT_RULE, FORMAT, Child, Prefix, unsupported

Protocol = Annotated[Literal["Tcp", "Udp", "Icmp", "Esp", "Ah", "*"], FORMAT]
Access = Annotated[Literal["Allow", "Deny"], FORMAT]
Direction = Annotated[Literal["Inbound", "Outbound"], FORMAT]
Priority = Annotated[int, Meta(ge=100, le=4096, extra={"code": "SecurityRuleInvalidPriority"})]
Description = Annotated[str, Meta(max_length=140, extra={"code": "SecurityRuleDescriptionTooLong"})]
Ports = Annotated[str, Meta(max_length=16, extra={"code": "SecurityRuleInvalidPortRange"})]
TAGS = ("*", "VirtualNetwork", "Internet", "AzureLoadBalancer")
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_PREFIX = re.compile(r"[0-9a-fA-F.:]+(/[0-9]{1,3})?")
_FIELDS = ("source_port_range", "destination_port_range", "source_address_prefix", "destination_address_prefix")


class SecurityRuleProperties(Properties):
    """`properties` of a rule. Of each pair of members, singular and plural, exactly one is given."""

    protocol: Protocol
    access: Access
    direction: Direction
    priority: Priority
    description: Description | None = None
    source_port_range: Ports | None = None
    source_port_ranges: Annotated[list[Ports], Meta(max_length=4000)] | None = None
    destination_port_range: Ports | None = None
    destination_port_ranges: Annotated[list[Ports], Meta(max_length=4000)] | None = None
    source_address_prefix: Prefix | None = None
    source_address_prefixes: Annotated[list[Prefix], Meta(max_length=4000)] | None = None
    destination_address_prefix: Prefix | None = None
    destination_address_prefixes: Annotated[list[Prefix], Meta(max_length=4000)] | None = None
    provisioning_state: ReadOnly[str | None] = None


class SecurityRule(Child, kw_only=True):
    """One rule of a network security group."""

    properties: SecurityRuleProperties


class DefaultRuleProperties(SecurityRuleProperties, kw_only=True):
    """The same with a priority behind all others."""

    priority: int


class DefaultSecurityRule(SecurityRule, kw_only=True):
    """One of the six rules that every group ends with; clients may send it back."""

    properties: DefaultRuleProperties


def normalise(rule: SecurityRule) -> None:
    """Check a rule and give its values the form that GET shows. Raises BadRequest."""
    properties = rule.properties
    for field in _FIELDS:
        _normalise_pair(rule, field)
    properties.provisioning_state = "Succeeded"


def check_conflicts(rules: list[SecurityRule]) -> None:
    """Raises BadRequest `SecurityRuleConflict` for two rules of one direction with the same priority."""
    seen: dict[tuple[str, int], SecurityRule] = {}
    for rule in rules:
        other = seen.setdefault((rule.properties.direction, rule.properties.priority), rule)
        if other is not rule:
            raise BadRequest(
                "SecurityRuleConflict",
                f"Security rule {other.name} conflicts with rule {rule.name}. Rules cannot have the same Priority and "
                "Direction. To learn more, see aka.ms/nsgrules.",
                target="priority",
            )


def _plural(field: str) -> str:
    return f"{field}es" if field.endswith("prefix") else f"{field}s"


def _wire_name(field: str) -> str:
    return "".join(word.capitalize() for word in field.split("_"))


def _normalise_pair(rule: SecurityRule, field: str) -> None:
    properties, plural = rule.properties, _plural(field)
    single, several = getattr(properties, field) or None, getattr(properties, plural) or []
    name, names = _wire_name(field), _wire_name(plural)
    if single and several:
        raise BadRequest(
            "SecurityRuleParametersConflict",
            f"Security rule with Id {rule.id} cannot specify both {name} and {names}: leave one of them out.",
            target=name,
        )
    if not single and not several:
        raise BadRequest(
            "SecurityRuleParametersMissing",
            f"Required security rule parameters are missing for security rule with Id: {rule.id}. Security rule must "
            f"specify {names} or {name}.",
            target=name,
        )
    if field.endswith("port_range"):
        for ports in several or [single]:
            parse_ports(ports)
    else:
        single = _prefix(single, name) if single else None
        several = [_prefix(prefix, names) for prefix in several]
        _refuse_tags(rule, names, several)
    setattr(properties, field, single)
    setattr(properties, plural, several)


def _refuse_tags(rule: SecurityRule, names: str, prefixes: list[str]) -> None:
    tag = next((prefix for prefix in prefixes if prefix in TAGS), None)
    if tag is not None:
        raise BadRequest(
            "SecurityRuleParameterContainsUnsupportedValue",
            f"Security rule parameter {names} for rule with Id {rule.id} cannot specify existing VIRTUALNETWORK, "
            f"INTERNET, AZURELOADBALANCER, '*' or system tags. Unsupported value used: {tag}.",
            target=names,
        )


def parse_ports(text: str) -> tuple[int, int]:
    """`22`, `8000-8010` or `*` as an inclusive range. Raises BadRequest."""
    if text == "*":
        return 0, 65535
    match = _PORTS.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if not first <= last <= 65535:
        raise BadRequest(
            "SecurityRuleInvalidPortRange",
            f"Security rule has invalid Port range. Value provided: {text}. Value should be an integer OR integer "
            "range with '-' delimiter. Valid range 0-65535.",
            target="portRange",
        )
    return first, last


def _prefix(text: str, name: str) -> str:
    """A tag in its own casing, or a prefix as it was given. Raises BadRequest."""
    tag = next((tag for tag in TAGS if tag.lower() == text.lower()), None)
    if tag is not None:
        return tag
    hint = ""
    if re.fullmatch(r"[A-Za-z][\w.]*", text):
        hint = f" Skerry has the service tags {', '.join(TAGS)} and no others."
    try:
        network = ip_network(text, strict=False) if _PREFIX.fullmatch(text) else None
    except ValueError:
        network = None
    if network is None:
        raise BadRequest(
            "SecurityRuleInvalidAddressPrefix",
            f"Security rule has invalid Address prefix. Value provided: {text}.{hint}",
            target=name,
        )
    if not isinstance(network, IPv4Network):
        raise unsupported(f"Security rule has an IPv6 address prefix: {text}.", name)
    return text


def rule_spec(rule: SecurityRule) -> RuleSpec:
    """What a host gets of a normalised rule."""
    properties = rule.properties
    return RuleSpec(
        name=rule.name or "",
        priority=properties.priority,
        direction=properties.direction,
        access=properties.access,
        protocol=properties.protocol,
        source_prefixes=_prefixes(properties.source_address_prefix, properties.source_address_prefixes),
        source_ports=_ports(properties.source_port_range, properties.source_port_ranges),
        destination_prefixes=_prefixes(properties.destination_address_prefix, properties.destination_address_prefixes),
        destination_ports=_ports(properties.destination_port_range, properties.destination_port_ranges),
    )


def _ports(single: str | None, several: list[str] | None) -> tuple[tuple[int, int], ...]:
    return tuple(parse_ports(text) for text in several or [single or "*"])


def _prefixes(single: str | None, several: list[str] | None) -> tuple[str, ...]:
    texts = several or [single or "*"]
    return tuple(text if text in TAGS else str(IPv4Network(text, strict=False)) for text in texts)


def default_rules(nsg: str) -> list[DefaultSecurityRule]:
    """The six rules that every group ends with; `nsg` is the group's id."""
    rows = (
        ("AllowVnetInBound", "Allow inbound traffic from all VMs in VNET", "VirtualNetwork", "VirtualNetwork", 65000),
        ("AllowAzureLoadBalancerInBound", "Allow inbound traffic from azure load balancer", TAGS[3], "*", 65001),
        ("DenyAllInBound", "Deny all inbound traffic", "*", "*", 65500),
        (
            "AllowVnetOutBound",
            "Allow outbound traffic from all VMs to all VMs in VNET",
            "VirtualNetwork",
            "VirtualNetwork",
            65000,
        ),
        ("AllowInternetOutBound", "Allow outbound traffic from all VMs to Internet", "*", "Internet", 65001),
        ("DenyAllOutBound", "Deny all outbound traffic", "*", "*", 65500),
    )
    return [_default_rule(nsg, row) for row in rows]


def _default_rule(nsg: str, row: tuple[str, str, str, str, int]) -> DefaultSecurityRule:
    name, description, source, destination, priority = row
    return DefaultSecurityRule(
        id=f"{nsg}/defaultSecurityRules/{name}",
        name=name,
        type=DEFAULT_RULE,
        properties=DefaultRuleProperties(
            provisioning_state="Succeeded",
            description=description,
            protocol="*",
            source_port_range="*",
            destination_port_range="*",
            source_address_prefix=source,
            destination_address_prefix=destination,
            access="Deny" if name.startswith("Deny") else "Allow",
            priority=priority,
            direction="Inbound" if name.endswith("InBound") else "Outbound",
            source_port_ranges=[],
            destination_port_ranges=[],
            source_address_prefixes=[],
            destination_address_prefixes=[],
        ),
    )
