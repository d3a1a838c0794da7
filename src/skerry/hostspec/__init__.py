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
    VmObserved,
    VmPower,
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
    VmSpec,
    VnetSpec,
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
    "SubnetSpec",
    "VmObserved",
    "VmPower",
    "VmSpec",
    "VnetSpec",
]
