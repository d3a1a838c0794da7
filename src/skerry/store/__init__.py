"""Tables, units of work and migrations."""

from skerry.store.hosts import Hosts
from skerry.store.operations import OperationRow, Operations
from skerry.store.resources import Link, ResourceRow, Resources
from skerry.store.store import Store, UnitOfWork

__all__ = ["Hosts", "Link", "OperationRow", "Operations", "ResourceRow", "Resources", "Store", "UnitOfWork"]
