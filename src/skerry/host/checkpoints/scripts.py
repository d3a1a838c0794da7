"""What a guest that continues from a checkpoint is told to do first."""

import os
import time
from collections.abc import Mapping, Sequence
from uuid import uuid4

from skerry.host.errors import HostError
from skerry.host.provisioning.script import encoded, guest_file, identity
from skerry.host.warm.identity import SEED_BYTES, Place
from skerry.hostspec import Provisioning, VmSpec, VnetSpec


def same_again() -> bytes:
    """The Perl script for a machine that was put back: new random numbers, and today's clock."""
    return _script({})


def one_s_own(vm: VmSpec, vnets: Sequence[VnetSpec], old_macs: Sequence[str]) -> bytes:
    """The Perl script that makes a fork the VM `vm`. Raises HostError where a NIC is in no network."""
    places = [Place.of(vnets, port) for port in vm.ports]
    if None in places:
        raise HostError("its network is not known on this host")
    nics = [
        f"{_mac(old)} {place.mac} {place.address} {place.gateway}"
        for old, place in zip(old_macs, places, strict=True)
        if place is not None
    ]
    told = identity(vm.id, vm.provisioning or Provisioning(hostname=vm.name, admin_username=""))
    return _script({**told, "machine_id": uuid4().hex, "nics": "\n".join(nics)})


def _script(parameters: Mapping[str, str]) -> bytes:
    every = {"seed": os.urandom(SEED_BYTES).hex(), "time": f"{time.time():.9f}", "vm": "", **parameters}
    code = "".join(map(guest_file, ("common.pl", "personalise.pl", "continue.pl")))
    return b"$main::parameters = '" + encoded(every) + b"';\n" + code.encode()


def _mac(text: str) -> str:
    return text.replace("-", ":").lower()
