"""Every resource type that Skerry has: one line per type."""

from skerry.arm.registry import Registry
from skerry.engine.steps import OperationKind
from skerry.resources.admin import status, templates
from skerry.resources.compute import (
    catalogue,
    disk,
    image,
    restore_point,
    restore_point_collection,
    ssh_public_key,
    virtual_machine,
)
from skerry.resources.insights import activity_log
from skerry.resources.network import (
    network_interface,
    network_security_group,
    public_ip_address,
    virtual_network,
)
from skerry.resources.network import steps as network_steps
from skerry.resources.resources import deployment, resource_group

TYPES = (
    *resource_group.TYPES,
    *deployment.TYPES,
    *virtual_network.TYPES,
    *network_security_group.TYPES,
    *public_ip_address.TYPES,
    *network_interface.TYPES,
    *disk.TYPES,
    *image.TYPES,
    *ssh_public_key.TYPES,
    *virtual_machine.TYPES,
    *restore_point_collection.TYPES,
    *restore_point.TYPES,
)
KINDS: dict[str, OperationKind] = {
    kind.name: kind
    for kind in (
        *resource_group.KINDS,
        *deployment.KINDS,
        *network_steps.KINDS,
        *disk.KINDS,
        *virtual_machine.KINDS,
        *restore_point_collection.KINDS,
        *restore_point.KINDS,
    )
}


def build_registry() -> Registry:
    """The registry of all types and views."""
    return Registry(TYPES, (*catalogue.VIEWS, *activity_log.VIEWS, *status.VIEWS, *templates.VIEWS))
