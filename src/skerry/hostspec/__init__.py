"""What control plane and host agent share: the desired spec, what was observed, and the gateway between them.

Everything here is frozen, serialises with msgspec to plain JSON, and names nothing of ARM's but opaque ids:
a host never parses what a tenant wrote.
"""

from skerry.hostspec.observed import (
    CheckpointObserved,
    DiskObserved,
    Health,
    HostCapacity,
    ImageObserved,
    Observed,
    StandbyObserved,
    TemplateObserved,
    VmObserved,
    VmPower,
    WarmObserved,
)
from skerry.hostspec.spec import (
    CheckpointedDisk,
    CheckpointSpec,
    DiskAttachment,
    DiskSpec,
    HostSpec,
    NsgSpec,
    PortSpec,
    Provisioning,
    SecurityRule,
    SubnetSpec,
    TemplateSpec,
    VmSpec,
    VnetSpec,
    mac_for,
    template_id,
)

__all__ = [
    "CheckpointObserved",
    "CheckpointSpec",
    "CheckpointedDisk",
    "DiskAttachment",
    "DiskObserved",
    "DiskSpec",
    "Health",
    "HostCapacity",
    "HostSpec",
    "ImageObserved",
    "NsgSpec",
    "Observed",
    "PortSpec",
    "Provisioning",
    "SecurityRule",
    "StandbyObserved",
    "SubnetSpec",
    "TemplateObserved",
    "TemplateSpec",
    "VmObserved",
    "VmPower",
    "VmSpec",
    "VnetSpec",
    "WarmObserved",
    "mac_for",
    "template_id",
]
