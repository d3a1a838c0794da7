"""Who a clone is: what the script that runs in it is told."""

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import ip_network
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from skerry.host.network.dhcp import gateway
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
    # Made here as safely as there, from a seed that comes from here: the guest's ssh-keygen takes it half a second.
    key = Ed25519PrivateKey.generate()
    password_login = provisioning.password_hash and not provisioning.disable_password_authentication
    return _encoded(
        {
            "seed": seed.hex(),
            "time": f"{time.time():.9f}",
            "vm": vm,
            "machine_id": uuid4().hex,
            "hostname": provisioning.hostname,
            "user": provisioning.admin_username,
            "password_hash": provisioning.password_hash or "",
            "host_key": key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(),
            "host_key_public": key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + "\n",
            "password_login": "1" if password_login else "",
            "ssh_keys": "".join(f"{key}\n" for key in provisioning.ssh_public_keys),
            "template_mac": template_mac,
            "mac": place.mac,
            "address": place.address,
            "gateway": place.gateway,
            "custom": "1" if provisioning.custom_data else "",
            "later": _guest_file("first_boot.sh"),
        }
    )


def prepare() -> bytes:
    """The shell script that makes a guest fit to be a template."""
    resident = _guest_file("personalise.pl") + _guest_file("resident.pl")
    return f"resident={shlex.quote(resident)}\n{_guest_file('prepare.sh')}".encode()


def _encoded(named: Mapping[str, str]) -> bytes:
    return "\0".join(word for pair in named.items() for word in pair).encode().hex().encode()


def _guest_file(name: str) -> str:
    return (files("skerry.guest") / name).read_text()
