"""Which accelerator QEMU runs guests with, and why.

That /dev/kvm opens proves little: under some hypervisors it opens and then hangs every real kernel. So KVM is
taken only where the CPU itself shows virtualisation and a trial guest reaches 64-bit mode and answers in time.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skerry.host.compute.qemu.launch import Setting
from skerry.host.compute.qemu.machine_types import BINARY
from skerry.host.compute.qemu.process import identity
from skerry.host.errors import CommandError, HostError, MissingFeature
from skerry.host.run import run

Accelerator = Literal["kvm", "tcg"]

DEVICE = Path("/dev/kvm")
TRIAL_SECONDS = 1.0
ANSWER = b"64"

# A 64 KiB firmware image: this code at 0xffff0000 and, at the reset vector 0xfffffff0, a jump to it. It enters
# protected mode (GDT at 0xffff00a0), maps the last 2 MiB below 4 GiB to itself with page tables at 0x1000–0x3fff,
# enters long mode, needs a 64-bit register to make "64", writes that to the debug console (port 0xe9) and resets
# the machine (port 0xcf9).
CODE = bytes.fromhex(
    "2e660f0116c0000f20c06683c8010f22c066ea1900ffff080066b810008ed88e"  # lgdt; CR0.PE; far jump to 32-bit code
    "c031c0bf00100000b9000c0000fcf3abc7050010000003200000c70518200000"  # clear and fill the page tables
    "03300000c705f83f00008300e0ff0f20e083c8200f22e0b8001000000f22d8b9"  # CR4.PAE; CR3
    "800000c00f320d000100000f300f20c00d000000800f22c0ea7f00ffff180048"  # EFER.LME; CR0.PG; far jump to 64-bit code
    "b8000000000000363448c1e830e6e988e0e6e9b00666baf90ceef4ebfd8d7400"  # movabs, shr; two outs; reset; halt
    "0000000000000000ffff0000009bcf00ffff00000093cf00ffff0000009baf00"  # GDT: null, 32-bit code, data, 64-bit code
    "1f00a000ffff"  # its descriptor
)
RESET_VECTOR = bytes.fromhex("e90d00")
FIRMWARE = CODE.ljust(0xFFF0, b"\0") + RESET_VECTOR.ljust(16, b"\0")


@dataclass(frozen=True)
class Choice:
    """An accelerator and the reason for it, in words for the user."""

    accelerator: Accelerator
    reason: str


def choose_accelerator(wanted: Literal["auto", "kvm", "tcg"]) -> Choice:
    """The accelerator to use. Raises MissingFeature when `kvm` is demanded where it doesn't work."""
    if wanted == "tcg":
        return Choice("tcg", "asked for")
    obstacle = kvm_obstacle()
    if obstacle is None:
        return Choice("kvm", f"{DEVICE} opens and a trial guest reached 64-bit mode")
    if wanted == "kvm":
        raise MissingFeature(f"KVM was asked for but {obstacle}: use --accel tcg, or auto")
    return Choice("tcg", f"{obstacle}; guests run emulated, several times slower")


def kvm_obstacle(cpuinfo: Path = Path("/proc/cpuinfo"), device: Path = DEVICE) -> str | None:
    """Why KVM can't be used; None when it can."""
    if re.search(r"^flags\s*:.*\b(vmx|svm)\b", cpuinfo.read_text(), re.MULTILINE) is None:
        return "the CPU shows neither vmx nor svm"
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{device} can't be opened ({error.strerror})"
    try:
        trial_boot("kvm")
    except HostError as error:
        return f"a trial guest did not answer under KVM ({error})"
    return None


def trial_boot(accelerator: Accelerator, seconds: float = TRIAL_SECONDS) -> None:
    """Boot FIRMWARE, as the user that guests run as. Raises HostError unless it answers from 64-bit mode in time."""
    memory = os.memfd_create("skerry-trial", os.MFD_CLOEXEC)
    try:
        os.write(memory, FIRMWARE)
        words = Setting(accelerator, identity(), None).confine(_trial_words(accelerator, memory))
        printed = _run_in_time(words, memory, seconds)
    finally:
        os.close(memory)
    if printed != ANSWER:
        raise HostError(f"it printed {printed!r} instead of {ANSWER!r}")


def _run_in_time(words: Sequence[str], memory: int, seconds: float) -> bytes:
    try:
        return run(words, timeout=seconds, pass_fds=[memory])
    except CommandError as error:
        if error.status is None:
            raise HostError(f"no answer within {seconds:g} s") from error
        raise


def _trial_words(accelerator: Accelerator, memory: int) -> list[str]:
    """A reset ends the machine, and QEMU with status 0."""
    return [
        *[BINARY, "-nodefaults", "-no-user-config", "-display", "none", "-m", "16", "-accel", accelerator],
        *["-add-fd", f"set=1,fd={memory}", "-blockdev", "driver=file,node-name=rom,filename=/dev/fdset/1"],
        *["-machine", "q35,pflash0=rom", "-action", "reboot=shutdown"],
        *["-chardev", "stdio,id=out", "-device", "isa-debugcon,iobase=0xe9,chardev=out"],
    ]
