"""Tables, units of work and migrations."""

from skerry.store.hosts import Hosts
from skerry.store.operations import LONGEST_NAP, OperationRow, Operations, Origin
from skerry.store.resources import Link, ResourceRow, Resources
from skerry.store.store import Store, UnitOfWork

__all__ = [
    "LONGEST_NAP",
    "Hosts",
    "Link",
    "OperationRow",
    "Operations",
    "Origin",
    "ResourceRow",
    "Resources",
    "Store",
    "UnitOfWork",
]
