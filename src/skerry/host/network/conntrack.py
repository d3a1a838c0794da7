"""Forgets tracked connections, so that nobody who gets an address inherits what its last owner had open."""

import contextlib

from pyroute2 import NFCTSocket
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple


def flush(addresses: frozenset[str]) -> None:
    """Drop every entry of the calling thread's namespace that one of `addresses` takes part in."""
    if not addresses:
        return
    with NFCTSocket() as table:
        for entry in list(table.dump()):
            original = NFCTAttrTuple.from_netlink(2, entry.get("tuple_orig"))
            reply = NFCTAttrTuple.from_netlink(2, entry.get("tuple_reply"))
            if {original.saddr, original.daddr, reply.saddr, reply.daddr} & addresses:
                with contextlib.suppress(NetlinkError):  # it may have ended by itself
                    table.entry("del", tuple_orig=original)
