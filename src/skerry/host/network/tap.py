"""TAP devices: persistent, one queue, with the virtio-net header so that offloads work.

Constants from linux/if_tun.h.
"""

import errno
import fcntl
import os
import socket
import struct

from skerry.host.errors import HostError, MissingFeature

TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
TUNGETIFF = 0x800454D2
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
DEVICE = "/dev/net/tun"


def create(name: str) -> None:
    """Make a persistent TAP in the namespace of the calling thread."""
    descriptor = _attach(name)
    try:
        keep(descriptor)
    finally:
        os.close(descriptor)


def passing() -> int:
    """A descriptor of a new TAP in the namespace of the calling thread; the device ends with its last descriptor."""
    return _attach(f"skt{os.urandom(4).hex()}")


def name_of(descriptor: int) -> str:
    """The name of a descriptor's TAP, in whichever namespace it is."""
    return fcntl.ioctl(descriptor, TUNGETIFF, bytes(40))[:16].rstrip(b"\0").decode()


def keep(descriptor: int) -> None:
    """Let a passing TAP outlive its descriptors, like one from `create`."""
    fcntl.ioctl(descriptor, TUNSETPERSIST, 1)


def open_existing(name: str) -> int:
    """A descriptor of the TAP `name` of the calling thread's namespace.

    Raises HostError when it isn't there (opening would make a passing one) or another process holds it.
    """
    try:
        socket.if_nametoindex(name)
    except OSError as error:
        raise HostError(f"TAP {name} is missing; apply the networks again") from error
    try:
        return _attach(name)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise HostError(f"TAP {name} is still held by a running QEMU; stop that one first") from error
        raise


def _attach(name: str) -> int:
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise MissingFeature(
            f"{DEVICE} can't be opened ({error.strerror}): load the `tun` module, run as root"
        ) from error
    try:
        request = struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
        fcntl.ioctl(descriptor, TUNSETIFF, request)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
