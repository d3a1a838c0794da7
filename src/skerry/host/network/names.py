"""What this Skerry calls its things on the host, so that two Skerrys on one host never touch each other's."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

TAP_PREFIX = "t-"
UPLINK = "up"
"""The VNet's end of the veth that leads to the router namespace."""


@dataclass(frozen=True)
class Names:
    """Every name carries `tag`: six hex digits of the hash of the state folder's resolved path."""

    tag: str

    @classmethod
    def of(cls, state: Path) -> "Names":
        return cls(hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:6])

    @property
    def prefix(self) -> str:
        """What every namespace of ours begins with."""
        return f"skerry-{self.tag}-"

    @property
    def guests(self) -> str:
        """The namespace without any network that QEMU processes run in."""
        return f"{self.prefix}guests"

    @property
    def router(self) -> str:
        """The namespace between the VNets and slirp4netns."""
        return f"{self.prefix}router"

    @property
    def runtime(self) -> Path:
        """Configuration and pid records of our daemons: gone after a reboot, as the namespaces are.

        Not below the state folder: dnsmasq reads it as an unprivileged user, and a state folder is private.
        """
        return Path("/run") / f"skerry-{self.tag}"

    def vnet(self, vnet: str) -> str:
        """The VNet's namespace."""
        return f"{self.prefix}{vnet[:8]}"


def tap_name(port: str) -> str:
    """The TAP of a port: names of links end at 15 characters."""
    return f"{TAP_PREFIX}{port[:8]}"


def router_port(vnet: str) -> str:
    """The router's end of a VNet's veth."""
    return f"v-{vnet[:8]}"
