"""Tables, units of work and migrations."""

from skerry.store.database import BadDatabase, StoreUnavailable
from skerry.store.hosts import HostRow, Hosts
from skerry.store.operations import LONGEST_NAP, OperationRow, Operations, Origin
from skerry.store.resources import Link, ResourceRow, Resources
from skerry.store.search import Search
from skerry.store.store import Store, UnitOfWork

__all__ = [
    "LONGEST_NAP",
    "BadDatabase",
    "HostRow",
    "Hosts",
    "Link",
    "OperationRow",
    "Operations",
    "Origin",
    "ResourceRow",
    "Resources",
    "Search",
    "Store",
    "StoreUnavailable",
    "UnitOfWork",
]
