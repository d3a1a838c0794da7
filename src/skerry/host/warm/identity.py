"""Who a clone is: what the script that runs in it is told."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from uuid import uuid4

from skerry.host.network.dhcp import gateway
from skerry.host.provisioning.script import encoded, guest_file, identity
from skerry.hostspec import Provisioning, VnetSpec

SEED_BYTES = 64


@dataclass(frozen=True)
class Place:
    """Where a guest is in its network: its MAC (`00:0d:…`), its address with the prefix length, and its gateway."""

    mac: str
    address: str
    gateway: str

    @classmethod
    def of(cls, vnets: Sequence[VnetSpec], port: str) -> "Place | None":
        """The place of a port; None where it is in none of the networks."""
        for vnet in vnets:
            prefixes = {subnet.id: ip_network(subnet.prefix) for subnet in vnet.subnets}
            for known in vnet.ports:
                if known.id == port and known.subnet in prefixes:
                    prefix = prefixes[known.subnet]
                    mac = known.mac.replace("-", ":").lower()
                    return cls(mac, f"{known.address}/{prefix.prefixlen}", gateway(str(prefix)))
        return None


def parameters(vm: str, provisioning: Provisioning, place: Place, *, template_mac: str, seed: bytes) -> bytes:
    """What the interpreter that waits in a template is told, for it to be the VM `vm`.

    `seed`: random bytes, never used before.
    """
    return encoded(
        {
            **identity(vm, provisioning),
            "seed": seed.hex(),
            "time": f"{time.time():.9f}",
            "machine_id": uuid4().hex,
            "template_mac": template_mac,
            "mac": place.mac,
            "address": place.address,
            "gateway": place.gateway,
            "later": guest_file("first_boot.sh"),
        }
    )


def prepare() -> bytes:
    """The shell script that makes a guest fit to be a template."""
    resident = "".join(map(guest_file, ("common.pl", "personalise.pl", "resident.pl")))
    parts = "".join(map(guest_file, ("prepare.sh", "rehearse.sh", "await.sh")))
    return f"resident={shlex.quote(resident)}\n{parts}".encode()


def rehearsal() -> bytes:
    """The shell script for a machine that is to stand by."""
    return guest_file("rehearse.sh").encode()
