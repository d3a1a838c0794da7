"""A real Debian guest through the whole agent: network, provisioning, power, adoption by a new agent."""

import base64
import json
import os
import secrets
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from skerry.host.factory import WarmOptions, real_agent
from skerry.host.storage.library import Library
from skerry.hostspec import (
    DiskAttachment,
    DiskSpec,
    HostSpec,
    Observed,
    PortSpec,
    Provisioning,
    SubnetSpec,
    VmObserved,
    VmSpec,
    VnetSpec,
)
from skerry.imagebuilder import build, default_cache

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as Skerry's default mode does"),
    pytest.mark.timeout(2400),
]

LIMIT = 600.0
ADDRESS = "10.77.0.4"
PUBLIC = f"127.{32 + secrets.randbelow(32)}.{secrets.randbelow(256)}.4"
"""Outside of the range that a Skerry takes its public addresses from: another may run beside this test."""
# The hash of a password that nobody needs to know.
PASSWORD_HASH = "$6$skerry$" + "a" * 86
SCRIPT = b"#!/bin/sh\necho custom data ran > /run/custom-data\n"


class Source:
    """A control plane of one host, in memory."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.spec: HostSpec | None = None
        self.observed: Observed | None = None

    def desired(self, newer_than: int, timeout: float) -> HostSpec | None:
        with self._changed:
            self._changed.wait_for(lambda: self.spec is not None and self.spec.revision > newer_than, timeout)
            return self.spec

    def report(self, observed: Observed) -> None:
        with self._changed:
            self.observed = observed
            self._changed.notify_all()

    def order(self, spec: HostSpec) -> None:
        with self._changed:
            self.spec = spec
            self._changed.notify_all()

    def wait(self, fits: Callable[[Observed], bool]) -> Observed:
        with self._changed:
            fitted = self._changed.wait_for(lambda: self.observed is not None and fits(self.observed), LIMIT)
            assert fitted, self.observed
            assert self.observed is not None
            return self.observed


class Debian:
    """One guest, its control plane, and whichever agent runs at the moment."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.key = state / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        self.public_key = self.key.with_suffix(".pub").read_text().strip()
        image = Library(state).add_built(build("debian-12", default_cache(), lambda _step, _done: None))
        self.vm, self.vnet = self._vm(), _vnet()
        self.disk = DiskSpec("a1b2c3d4", image.size_bytes, image.id)
        self.source = Source()
        self.agent = real_agent(state, self.source, "tcg", WarmOptions(on=False))
        self.agent.start()

    def order(self, vm: VmSpec | None) -> None:
        """The VM as given, or nothing at all."""
        revision = self.source.spec.revision + 1 if self.source.spec else 1
        port = replace(self.vnet.ports[0], vm=self.vm.id)
        vnets = (replace(self.vnet, ports=(port,)),)
        if vm is None:
            spec = HostSpec(revision, disks=(replace(self.disk, present=False),))
        else:
            spec = HostSpec(revision, (vm,), vnets, (self.disk,))
        self.source.order(spec)

    def wait(self, fits: Callable[[VmObserved], bool]) -> VmObserved:
        observed = self.source.wait(lambda one: any(fits(vm) for vm in one.vms))
        return observed.vms[0]

    def new_agent(self) -> None:
        self.agent.stop(keep_vms=True)
        self.source.observed = None
        self.agent = real_agent(self.state, self.source, "tcg", WarmOptions(on=False))
        self.agent.start()

    def ssh(self, command: str) -> str:
        """Its output, once the guest lets us in."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=5", "LogLevel=ERROR"]
        words = [
            "ssh",
            "-i",
            str(self.key),
            *[part for one in options for part in ("-o", one)],
            f"me@{PUBLIC}",
            command,
        ]
        deadline = time.monotonic() + LIMIT
        while True:
            done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False)
            if done.returncode != 255:
                return done.stdout.strip()
            assert time.monotonic() < deadline, (done.stderr, self.serial())
            time.sleep(0.5)

    def serial(self) -> str:
        return (self.agent.serial_log(self.vm.id) or b"")[-3000:].decode(errors="replace")

    def _vm(self) -> VmSpec:
        name, mac = str(uuid.uuid4()), "00:0d:3a:77:00:04"
        provisioning = Provisioning(
            hostname="web",
            admin_username="me",
            ssh_public_keys=(self.public_key,),
            password_hash=PASSWORD_HASH,
            disable_password_authentication=False,
            custom_data=base64.b64encode(SCRIPT).decode(),
        )
        return VmSpec(
            id=name,
            name="web",
            vcpus=2,
            memory_bytes=1 << 30,
            disks=(DiskAttachment("a1b2c3d4"),),
            ports=("00d3a770004",),
            macs=(mac,),
            provisioning=provisioning,
            metadata=json.dumps(_metadata(name, mac, self.public_key)),
        )


def _metadata(vm: str, mac: str, key: str) -> dict[str, object]:
    address = {"privateIpAddress": ADDRESS, "publicIpAddress": PUBLIC}
    subnet = {"address": "10.77.0.0", "prefix": "24"}
    profile = {"adminUsername": "me", "computerName": "web", "disablePasswordAuthentication": "false"}
    interface = {
        "macAddress": mac.replace(":", "").upper(),
        "ipv4": {"ipAddress": [address], "subnet": [subnet]},
        "ipv6": {"ipAddress": []},
    }
    keys = [{"keyData": key, "path": "/home/me/.ssh/authorized_keys"}]
    compute = {"vmId": vm, "name": "web", "osProfile": profile, "publicKeys": keys}
    return {"compute": compute, "network": {"interface": [interface]}}


def _vnet() -> VnetSpec:
    port = PortSpec(
        id="00d3a770004",
        vm="",
        mac="00:0d:3a:77:00:04",
        address=ADDRESS,
        subnet="5ab1",
        hostname="web",
        public_address=PUBLIC,
        public_open=True,
    )
    return VnetSpec("77aa77aa", ("10.77.0.0/16",), (SubnetSpec("5ab1", "10.77.0.0/24"),), (), (port,))


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[Debian]:
    tmp_path.chmod(0o700)
    debian = Debian(tmp_path)
    yield debian
    debian.agent.stop(keep_vms=False, grace=0)


def test_the_life_of_a_debian_guest(debian: Debian) -> None:
    debian.order(debian.vm)
    debian.wait(lambda vm: vm.health == "ready")
    status = debian.ssh("cloud-init status --wait >/dev/null; hostname; sudo cat /run/custom-data")
    assert status == "web\ncustom data ran"
    assert debian.ssh("sudo grep ^me: /etc/shadow").startswith(f"me:{PASSWORD_HASH}:")
    assert debian.wait(lambda vm: vm.agent_version != "").agent_version[0].isdigit()
    booted = debian.ssh("cat /proc/sys/kernel/random/boot_id")

    debian.new_agent()
    adopted = debian.wait(lambda vm: vm.power == "running")
    assert (adopted.health, adopted.start_generation) == ("ready", 1)
    assert debian.ssh("cat /proc/sys/kernel/random/boot_id") == booted

    debian.ssh("sudo systemd-run --no-block systemctl poweroff")
    debian.wait(lambda vm: vm.power == "stopped")

    again = replace(debian.vm, start_generation=2, vcpus=1, firmware="bios")
    debian.order(again)
    debian.wait(lambda vm: vm.start_generation == 2)
    processors, boot = debian.ssh("nproc; cat /proc/sys/kernel/random/boot_id").split()
    assert processors == "1"
    assert boot != booted

    debian.order(replace(again, power="stopped"))
    stopping = time.monotonic()
    debian.wait(lambda vm: vm.power == "stopped")
    assert "reboot: Power down" in debian.serial(), f"killed after {time.monotonic() - stopping:.0f} s"

    debian.order(None)
    debian.source.wait(lambda one: not one.vms and not one.disks)
    assert list((debian.state / "vms").iterdir()) == []
