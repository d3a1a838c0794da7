"""What `skerry doctor` says about running guests on this host."""

from typing import Literal

from skerry.host.checks import Check
from skerry.host.compute.accel import choose_accelerator
from skerry.host.compute.qemu import firmware, machine_types, process
from skerry.host.compute.qemu.cgroups import Cgroups
from skerry.host.errors import HostError

INSTALL = "apt install qemu-system-x86 ovmf seabios"


def compute_checks(wanted: Literal["auto", "kvm", "tcg"] = "auto") -> list[Check]:
    """QEMU, accelerator, firmware, the user for guests, limits."""
    return [_qemu(), _accelerator(wanted), *_firmware(), _user(), _limits()]


def _qemu() -> Check:
    try:
        version = machine_types.version()
    except HostError as error:
        return Check("QEMU", False, str(error), INSTALL)
    detail = f"version {version[0]}.{version[1]}"
    if version < machine_types.OLDEST:
        return Check("QEMU", False, f"{detail} is too old", "install QEMU 7.2 or later")
    return Check("QEMU", True, detail, "")


def _accelerator(wanted: Literal["auto", "kvm", "tcg"]) -> Check:
    try:
        choice = choose_accelerator(wanted)
    except HostError as error:
        return Check("accelerator", False, str(error), "use --accel tcg")
    return Check("accelerator", True, f"{choice.accelerator}: {choice.reason}", "")


def _firmware() -> list[Check]:
    wanted = {"UEFI firmware": firmware.CODE, "BIOS firmware": firmware.SEABIOS}
    return [
        Check(
            name, path.exists(), str(path) if path.exists() else f"{path} is missing", "" if path.exists() else INSTALL
        )
        for name, path in wanted.items()
    ]


def _user() -> Check:
    try:
        user = process.identity()
    except HostError as error:
        return Check("user for guests", False, str(error), f"useradd --system {process.USER}")
    if user is None:
        return Check(
            "user for guests", True, "guests run as the user who runs Skerry", "run Skerry as root to separate them"
        )
    mend = "" if user.name == process.USER else f"useradd --system {process.USER} keeps guests apart from other daemons"
    return Check("user for guests", True, user.name, mend)


def _limits() -> Check:
    return Check("cgroups", True, Cgroups().detail(), "")
