"""Runs nft inside a namespace: whole transactions in, the names of what is there out."""

from pathlib import Path

import orjson

from skerry.host.network.rules import TABLE
from skerry.host.run import run


def replace(namespace: Path, fingerprint: str, transaction: str, *, anew: bool = False) -> bool:
    """Load `transaction` unless the chain `fingerprint` shows that it is in force; whether it was loaded now.

    `anew`: load it all the same, for somebody may have changed what is below that chain.

    The kernel swaps all of it at one instant, and connection tracking outlives it: an established flow isn't cut.
    """
    if not anew and fingerprint in chains(namespace):
        return False
    _nft(namespace, ["-f", "-"], transaction)
    return True


def chains(namespace: Path) -> set[str]:
    """Names of the chains in our tables."""
    listing = orjson.loads(_nft(namespace, ["-j", "list", "chains"]))
    found = (entry["chain"] for entry in listing["nftables"] if "chain" in entry)
    return {chain["name"] for chain in found if chain["table"].startswith(TABLE)}


def _nft(namespace: Path, arguments: list[str], stdin: str = "") -> bytes:
    return run(["nsenter", f"--net={namespace}", "nft", *arguments], stdin=stdin.encode())
