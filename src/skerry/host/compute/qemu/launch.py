"""Starting one QEMU: its descriptors, its argv, its process, and its own words when it won't start."""

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from skerry.host import run
from skerry.host.compute.driver import DiskFile
from skerry.host.compute.qemu import argv, firmware, process, serial
from skerry.host.compute.qemu.argv import Descriptors, Disk, Layer, Memory
from skerry.host.compute.qemu.machine_types import BINARY
from skerry.host.compute.qemu.process import Identity
from skerry.host.compute.qemu.qmp import listening
from skerry.host.errors import HostError, Refused
from skerry.host.files import write_atomically
from skerry.host.provisioning.iso import provisioning_cd
from skerry.host.provisioning.ovf import ovf_env
from skerry.host.provisioning.script import provision
from skerry.hostspec import VmSpec

CD = "provisioning.iso"
QMP_SOCKET, SERIAL_SOCKET, AGENT_SOCKET = "qmp.sock", "serial.sock", "qga.sock"


@dataclass(frozen=True)
class Setting:
    """What is the same for every guest of this host. `netns` is the path of the empty network namespace.

    `niceness`: 0 to 19, by how much other processes come first.
    """

    accelerator: str
    user: Identity | None
    netns: str | None
    binary: str = BINARY
    niceness: int = 0

    def confine(self, words: Sequence[str]) -> list[str]:
        """The command line inside its namespace and without rights."""
        groups = process.kvm_groups() if self.accelerator == "kvm" else []
        nice = ["nice", "-n", str(self.niceness)] if self.niceness else []
        return [*nice, *process.confined(words, self.user, self.netns, groups)]


@dataclass
class Launched:
    """A QEMU just started, our child. `errors` is the reading end of its stderr: bounded, never blocking the guest."""

    argv: list[str]
    pid: int
    errors: int
    how: str = ""
    """How it ended, once that is known."""

    def last_words(self) -> str:
        """What it printed since the last look."""
        with suppress(BlockingIOError):
            said = os.read(self.errors, 1 << 16).decode(errors="replace").strip()
            # A guest can make QEMU complain, in words of its own; they end in error messages and on terminals.
            return "".join(character if character.isprintable() else " " for character in said)
        return ""

    def reap(self, *, wait: bool = False) -> bool:
        """Whether it has ended, waiting for it if `wait`; its entry in the process table is gone then."""
        try:
            pid, status = os.waitpid(self.pid, 0 if wait else os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == self.pid:
            self.how = process.ending(os.waitstatus_to_exitcode(status))
        return pid == self.pid

    def let_go(self) -> None:
        """Close our end of the pipe. A QEMU that goes on loses what it prints, no more."""
        os.close(self.errors)


def launch(
    setting: Setting,
    machine: str,
    folder: Path,
    vm: VmSpec,
    *,
    disks: Sequence[DiskFile],
    taps: Sequence[int],
    memory: Memory | None = None,
) -> Launched:
    """Start a QEMU for `vm`. All it needs is opened here, by us, so that its user needs no access to our folders."""
    _refuse(vm, disks, taps)
    with ExitStack() as opened:
        fds = replace(_descriptors(opened, folder, vm, disks, taps), memory=memory)
        if memory is None:
            fds = replace(fds, provision=_provision(opened, vm))
        words = setting.confine(argv.command_line(setting.binary, machine, setting.accelerator, vm, fds))
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        opened.callback(os.close, writing)
        try:
            child = run.start(words, pass_fds=argv.inherited(fds), output=writing)
        except Exception:
            os.close(reading)
            raise
        # It may outlive us, so a Popen would warn; Launched does the reaping.
        child.returncode = 0
        return Launched(words, child.pid, reading)


def _refuse(vm: VmSpec, disks: Sequence[DiskFile], taps: Sequence[int]) -> None:
    if len(taps) != len(vm.macs) or len(disks) != len(vm.disks):
        raise HostError(f"VM {vm.id} was given {len(disks)} disk files and {len(taps)} TAPs")
    if len(taps) > argv.MOST_NICS:
        raise Refused(f"VM {vm.id} has {len(taps)} NICs; a guest can have {argv.MOST_NICS}")


def _descriptors(
    opened: ExitStack, folder: Path, vm: VmSpec, disks: Sequence[DiskFile], taps: Sequence[int]
) -> Descriptors:
    return Descriptors(
        qmp=_listen(opened, folder / QMP_SOCKET),
        serial=_listen(opened, folder / SERIAL_SOCKET),
        agent=_listen(opened, folder / AGENT_SOCKET),
        serial_log=_keep(opened, serial.open_log(folder)),
        disks=tuple(_disk(opened, at.disk, file) for at, file in zip(vm.disks, disks, strict=True)),
        taps=tuple(taps),
        cd=cd(opened, folder, vm),
        firmware=_firmware(opened, folder) if vm.firmware == "uefi" else None,
    )


def _disk(opened: ExitStack, name: str, file: DiskFile) -> Disk:
    top = Layer(_open(opened, Path(file.path), writable=not file.read_only), file.format)
    below = [Layer(_open(opened, Path(path)), kind) for path, kind in file.backing]
    return Disk(name, (top, *below), file.lun, file.read_only)


def cd(opened: ExitStack, folder: Path, vm: VmSpec) -> int | None:
    """The provisioning CD, written anew; a provisioned guest's is removed, for it holds secrets."""
    path = folder / CD
    if vm.provisioning is None:
        path.unlink(missing_ok=True)
        return None
    write_atomically(path, provisioning_cd(ovf_env(vm.provisioning)))
    return _open(opened, path)


def _provision(opened: ExitStack, vm: VmSpec) -> int | None:
    """The script of a first boot, in memory only. With several NICs the guest's network is cloud-init's to set up."""
    if vm.provisioning is None:
        return None
    descriptor = _keep(opened, os.memfd_create("skerry-provision"))
    os.write(descriptor, provision(vm.id, vm.provisioning, by_cloud_init=len(vm.ports) > 1))
    return descriptor


def _firmware(opened: ExitStack, folder: Path) -> tuple[int, int]:
    return _open(opened, firmware.CODE), _open(opened, firmware.variables(folder), writable=True)


def _listen(opened: ExitStack, path: Path) -> int:
    return opened.enter_context(listening(path)).fileno()


def _open(opened: ExitStack, path: Path, *, writable: bool = False) -> int:
    try:
        return _keep(opened, os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC))
    except OSError as error:
        raise HostError(f"{path} can't be opened: {error.strerror}") from error


def _keep(opened: ExitStack, descriptor: int) -> int:
    opened.callback(os.close, descriptor)
    return descriptor
