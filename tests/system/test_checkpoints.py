"""Checkpoints and forks of a Debian VM on a real host: its processes go on, and every fork is a machine of its own."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace
from tests.system.cloud import SKERRY, SSH_OPTIONS, until
from tests.unit.host.test_agent import Source

from skerry.host.factory import WarmOptions, real_agent
from skerry.hostspec import (
    CheckpointedDisk,
    CheckpointObserved,
    CheckpointSpec,
    DiskAttachment,
    DiskSpec,
    HostSpec,
    PortSpec,
    Provisioning,
    SubnetSpec,
    VmObserved,
    VmSpec,
    VnetSpec,
)

pytestmark = [pytest.mark.checkpoints, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
GIB = 1 << 30
CHECKPOINT = "c0" * 16
# A counter in memory, which nothing writes down, and one that is written and flushed all the time.
WORK = """
cat >/tmp/count.py <<'END'
import os, socket, threading, time
n = 0
def tell():
    door = socket.socket(socket.AF_UNIX); door.bind('/tmp/count'); door.listen()
    while True:
        to, _ = door.accept(); to.sendall(str(n).encode()); to.close()
threading.Thread(target=tell, daemon=True).start()
file = os.open('/var/tmp/written', os.O_RDWR | os.O_CREAT)
while True:
    n += 1
    os.pwrite(file, str(n).ljust(4096).encode() * 8, 0); os.fsync(file)
    time.sleep(0.05)
END
setsid nohup python3 /tmp/count.py >/dev/null 2>&1 &
"""
COUNT = """python3 -c '
import socket; s = socket.socket(socket.AF_UNIX); s.connect("/tmp/count"); print(s.recv(99).decode())'
"""
IDENTITY = """
hostname; cat /etc/machine-id; sudo cat /sys/class/dmi/id/product_uuid; cat /sys/class/net/eth0/address
ip -4 -o address show dev eth0 | awk '{ print $4 }'; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
head -c 32 /dev/urandom | base64; python3 -c 'import ssl; print(ssl.RAND_bytes(32).hex())'
"""


SAME = """
cat /etc/machine-id; hostname; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
sudo cat /var/lib/cloud/data/instance-id
"""


class Host:
    """A real host's agent, ordered about by specs."""

    def __init__(self, folder: Path) -> None:
        self.state, self.key = folder / "state", folder / "id_ed25519"
        environment = {**os.environ, "SKERRY_STATE": str(self.state)}
        subprocess.run([SKERRY, "image", "build", "debian-12"], env=environment, check=True, capture_output=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.image = next(self.state.glob("images/[!.]*/image.json")).parent.name
        self.source = Source()
        self.agent = real_agent(self.state, self.source, "tcg", WarmOptions(on=False))
        self.agent.start()
        self.vms: list[VmSpec] = []
        self.disks: list[DiskSpec] = []
        self.checkpoints: tuple[CheckpointSpec, ...] = ()
        self._revision = 0

    def vm(self, name: str, **changes: Any) -> VmSpec:
        number = len(self.vms) + 4
        spec = VmSpec(
            id=str(uuid4()),
            name=name,
            vcpus=1,
            memory_bytes=GIB,
            disks=(DiskAttachment(f"d{number}"),),
            ports=(f"a{number}",),
            macs=(f"00:0d:3a:00:00:0{number}",),
            provisioning=Provisioning(name, "me", (self.key.with_suffix(".pub").read_text().strip(),)),
        )
        self.vms.append(replace(spec, **changes))
        return self.vms[-1]

    def order(self) -> None:
        self._revision += 1
        ports = tuple(
            PortSpec(vm.ports[0], vm.id, vm.macs[0], self.address(vm), "5b", vm.name, None, self.public(vm), True)
            for vm in self.vms
        )
        net = VnetSpec("c0ffee0001", ("10.7.0.0/16",), (SubnetSpec("5b", "10.7.0.0/24"),), (), ports)
        self.source.order(HostSpec(self._revision, tuple(self.vms), (net,), tuple(self.disks), self.checkpoints))

    def change(self, vm: VmSpec, **changes: Any) -> VmSpec:
        new = replace(vm, **changes)
        self.vms[self.vms.index(vm)] = new
        self.order()
        return new

    def address(self, vm: VmSpec) -> str:
        return f"10.7.0.{int(vm.ports[0][1:])}"

    def public(self, vm: VmSpec) -> str:
        return f"127.85.21.{int(vm.ports[0][1:])}"

    def seen(self, vm: VmSpec) -> VmObserved | None:
        observed = self.source.observed
        return next((one for one in observed.vms if one.id == vm.id), None) if observed else None

    def ready(self, vm: VmSpec, seconds: float = 400) -> VmObserved:
        def holds() -> bool:
            now = self.seen(vm)
            done = now is not None and now.restore_generation >= vm.restore_generation
            return now is not None and done and now.power == "running" and now.health == "ready"

        until(holds, seconds, f"{vm.name} is ready: {self.source.observed}")
        found = self.seen(vm)
        assert found
        return found

    def ssh(self, vm: VmSpec, command: str) -> str:
        """What the command prints. A busy machine's sshd may hang up on the first attempts."""
        words = ["ssh", "-i", str(self.key), *SSH_OPTIONS, f"me@{self.public(vm)}", command]
        for _ in range(5):
            done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
            if done.returncode != 255:
                break
            time.sleep(2)
        assert done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
        return done.stdout

    def count(self, vm: VmSpec) -> int:
        return int(self.ssh(vm, COUNT))

    def kept(self) -> CheckpointObserved:
        def found() -> CheckpointObserved | None:
            observed = self.source.observed
            return observed.checkpoints[0] if observed and observed.checkpoints else None

        until(lambda: (now := found()) is not None and (now.ready or now.message != ""), 120, "a checkpoint is made")
        made = found()
        assert made and made.ready, made
        return made


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    folder = Path(tempfile.mkdtemp(prefix="skerry-checkpoints-"))
    found = Host(folder)
    try:
        yield found
    finally:
        found.agent.stop(keep_vms=False, grace=0)
        shutil.rmtree(folder)


def test_a_vm_is_kept_while_it_works(host: Host) -> None:
    vm = host.vm("first")
    host.disks.append(DiskSpec("d4", 4 * GIB, host.image))
    host.order()
    host.ready(vm)
    host.ssh(vm, WORK)
    host.ssh(vm, "echo before >~/file; sleep 3")
    before = host.count(vm)
    host.checkpoints = (CheckpointSpec(CHECKPOINT, vm.id, ("d4",), memory=True),)
    host.order()
    made = host.kept()
    milliseconds = (round(1000 * seconds, 1) for seconds in (made.pause_seconds, made.disk_pause_seconds))
    print("paused for {} ms, of which disks {} ms;".format(*milliseconds), made.size_bytes, "bytes")
    assert host.count(vm) > before
    host.ssh(vm, "echo after >~/file; touch ~/later")


def test_forks_go_on_as_machines_of_their_own(host: Host) -> None:
    first = host.vms[0]
    before = host.count(first)
    forks = []
    for name in ("fork1", "fork2"):
        fork = host.vm(name, fork_of=CHECKPOINT)
        disk = DiskSpec(fork.disks[0].disk, 4 * GIB, origin=CheckpointedDisk(CHECKPOINT, "d4"))
        host.disks.append(disk)
        began = time.monotonic()
        host.order()
        seen = host.ready(fork)
        host.ssh(fork, "true")
        print(f"{name}: {time.monotonic() - began:.1f} s to the login, {seen.phases}, {seen.message}")
        assert (set(seen.phases), seen.message) == ({"restored", "agent", "identity"}, "")
        forks.append(fork)
    told = {vm.name: host.ssh(vm, IDENTITY).splitlines() for vm in (first, *forks)}
    assert [lines[0] for lines in told.values()] == ["first", "fork1", "fork2"]
    for values in zip(*told.values(), strict=True):
        assert len(set(values)) == 3, told
    for fork in forks:
        assert host.ssh(fork, "cat file; ls later 2>/dev/null || true") == "before\n"
        assert abs(int(host.ssh(fork, "date +%s")) - time.time()) < 5
    assert host.count(first) > before
    counts = [host.count(fork) for fork in forks]
    assert all(count > 3 for count in counts), counts


def test_a_fork_boots_as_itself(host: Host) -> None:
    fork = host.vms[1]
    before, boot = host.ssh(fork, SAME), host.ssh(fork, "cat /proc/sys/kernel/random/boot_id")
    fork = host.change(fork, restart_generation=1)

    def back() -> bool:
        try:
            return host.ssh(fork, "cat /proc/sys/kernel/random/boot_id") != boot
        except AssertionError:
            return False

    until(back, 400, "it boots from its own disk")
    host.ssh(fork, "cloud-init status --wait >/dev/null || true")
    assert host.ssh(fork, SAME) == before


def test_a_vm_is_put_back(host: Host) -> None:
    first = host.vms[0]
    keys = host.ssh(first, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; cat /etc/machine-id")
    counted = host.count(first)
    first = host.change(first, restore_from=CHECKPOINT, restore_generation=1)
    seen = host.ready(first)
    assert seen.message == ""
    assert host.ssh(first, "cat file; ls later 2>/dev/null || true") == "before\n"
    assert host.count(first) < counted + 400
    assert abs(int(host.ssh(first, "date +%s")) - time.time()) < 5
    assert host.ssh(first, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; cat /etc/machine-id") == keys
