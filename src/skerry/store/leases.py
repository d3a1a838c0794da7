"""Leases: which control plane does what only one may, until when. All of them read one clock, the database's."""

import time

from sqlalchemy import bindparam, delete, select, text

from skerry.store.sql import Session, Statement
from skerry.store.tables import leases

# A lease that ends later than one taken now would is from before the clock was set back: it is over, too.
_TAKE = (
    "INSERT INTO leases (name, holder, until) VALUES (:lease, :taker, {now} + :seconds) "
    "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until "
    "WHERE leases.holder = excluded.holder OR leases.until <= {now} OR leases.until > {now} + :seconds"
)
_TAKEN = Statement(
    text(_TAKE.format(now=":now")),
    postgresql=text(_TAKE.format(now="extract(epoch FROM clock_timestamp())")),
)
_RELEASE = Statement(delete(leases).where(leases.c.name == bindparam("lease"), leases.c.holder == bindparam("owner")))
_HOLDER = Statement(select(leases.c.holder).where(leases.c.name == bindparam("lease")))


class Leases:
    """The leases that one transaction sees."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def take(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew a lease; False while another holds it. Take one name for the same `seconds` each time."""
        values = {"lease": name, "taker": holder, "seconds": seconds, "now": time.time()}
        return self._session.count(_TAKEN, values) == 1

    def release(self, name: str, holder: str) -> None:
        """Give a lease up, if `holder` has it."""
        self._session.run(_RELEASE, {"lease": name, "owner": holder})

    def holder(self, name: str) -> str | None:
        """Who took the lease last and didn't release it; it may be over."""
        row = self._session.first(_HOLDER, {"lease": name})
        return row[0] if row else None
