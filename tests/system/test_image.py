"""The built image in a plain QEMU, under both firmwares: provisioned through cloud-init's own Azure data source.

No privilege is needed: QEMU's user network spans both of the platform's addresses and hands them to a server here.
"""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.system.cloud import free_port

from skerry.host.compute.driver import DiskFile
from skerry.host.storage.qcow2 import Qcow2Storage
from skerry.hostspec import DiskSpec
from skerry.imagebuilder import build, default_cache

pytestmark = pytest.mark.timeout(2400)

DISK_BYTES = 8 << 30
MAC = "52:54:00:12:34:56"
OVMF = Path("/usr/share/OVMF")

# One connection of the guest: standard input and output are its two directions.
RELAY = """
import os, select, socket, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while True:
    ready, _, _ = select.select([0, peer], [], [])
    for source in ready:
        data = os.read(0, 65536) if source == 0 else peer.recv(65536)
        if not data:
            sys.exit()
        peer.sendall(data) if source == 0 else os.write(1, data)
"""

OVF = """<?xml version="1.0" encoding="utf-8"?>
<o:Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:o="http://schemas.dmtf.org/ovf/environment/1"
 xmlns:wa="http://schemas.microsoft.com/windowsazure">
<wa:ProvisioningSection><wa:Version>1.0</wa:Version><wa:LinuxProvisioningConfigurationSet>
<wa:ConfigurationSetType>LinuxProvisioningConfiguration</wa:ConfigurationSetType>
<wa:HostName>web</wa:HostName><wa:UserName>me</wa:UserName>
<wa:DisableSshPasswordAuthentication>true</wa:DisableSshPasswordAuthentication>
</wa:LinuxProvisioningConfigurationSet></wa:ProvisioningSection>
<wa:PlatformSettingsSection><wa:Version>1.0</wa:Version><wa:PlatformSettings>
<wa:ProvisionGuestAgent>false</wa:ProvisionGuestAgent></wa:PlatformSettings></wa:PlatformSettingsSection>
</o:Environment>
"""

GOAL_STATE = """<?xml version="1.0" encoding="utf-8"?>
<GoalState><Version>2012-11-30</Version><Incarnation>1</Incarnation><Machine><ExpectedState>Started</ExpectedState></Machine>
<Container><ContainerId>c</ContainerId><RoleInstanceList><RoleInstance><InstanceId>i</InstanceId><State>Started</State>
<Configuration></Configuration></RoleInstance></RoleInstanceList></Container></GoalState>
"""


@dataclass
class Platform:
    """What the guest asks of Azure, and what it posted."""

    public_key: str
    health: list[str] = field(default_factory=list)

    def instance(self) -> str:
        profile = {"adminUsername": "me", "computerName": "web", "disablePasswordAuthentication": "true"}
        keys = [{"keyData": self.public_key, "path": "/home/me/.ssh/authorized_keys"}]
        subnet = {"ipAddress": [], "subnet": [{"address": "168.0.0.0", "prefix": "7"}]}
        nic = {"macAddress": MAC.replace(":", "").upper(), "ipv4": subnet, "ipv6": {"ipAddress": []}}
        return json.dumps({"compute": {"osProfile": profile, "publicKeys": keys}, "network": {"interface": [nic]}})

    @contextmanager
    def serving(self) -> Iterator[int]:
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(platform.instance() if self.path.startswith("/metadata/instance") else GOAL_STATE)

            def do_POST(self) -> None:
                platform.health.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.answer("")

            def answer(self, body: str) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.server_port
            server.shutdown()


@dataclass
class Guest:
    folder: Path
    process: subprocess.Popen[bytes]
    platform: Platform
    ssh_port: int

    def ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        options = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=20")
        words = [word for option in options for word in ("-o", option)]
        argv = ["ssh", "-q", "-i", str(self.folder / "key"), "-p", str(self.ssh_port), *words, "me@127.0.0.1", command]
        return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=300)

    def wait_for_login(self) -> None:
        while self.ssh("true").returncode != 0:
            assert self.process.poll() is None, self.serial()
            time.sleep(0.5)

    def serial(self) -> str:
        return (self.folder / "serial.log").read_text(errors="replace")[-6000:]

    def run(self, command: str) -> str:
        done = self.ssh(command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


def make_cd(folder: Path) -> Path:
    """FAT with a CD's sectors: Linux reads it from a CD drive as well as ISO 9660."""
    image, ovf = folder / "ovf.img", folder / "ovf-env.xml"
    ovf.write_text(OVF)
    with image.open("wb") as file:
        file.truncate(1 << 20)
    subprocess.run(["mkfs.vfat", "-S", "2048", image], check=True, capture_output=True)
    subprocess.run(["mcopy", "-i", image, ovf, "::"], check=True)
    return image


def firmware(kind: str, folder: Path) -> list[str]:
    if kind == "bios":
        return []
    variables = shutil.copy(OVMF / "OVMF_VARS_4M.fd", folder / "vars.fd")
    code = f"if=pflash,format=raw,readonly=on,file={OVMF / 'OVMF_CODE_4M.fd'}"
    return ["-drive", code, "-drive", f"if=pflash,format=raw,file={variables}"]


def argv(kind: str, folder: Path, disk: DiskFile, platform_port: int, ssh_port: int) -> list[str]:
    (folder / "relay.py").write_text(RELAY)
    relay = f"cmd:{sys.executable} -S -E {folder / 'relay.py'} {platform_port}"
    guests = ",".join(f"guestfwd=tcp:{address}:80-{relay}" for address in ("169.254.169.254", "168.63.129.16"))
    network = f"user,id=net,net=168.0.0.0/7,restrict=on,hostfwd=tcp:127.0.0.1:{ssh_port}-:22,{guests}"
    drive = f"driver=qcow2,node-name=os,file.driver=file,file.filename={disk.path}"
    return [
        *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "qemu64", "-smp", "1", "-m", "1024"),
        *("-nodefaults", "-display", "none", "-serial", f"file:{folder / 'serial.log'}", *firmware(kind, folder)),
        *("-uuid", "11111111-2222-3333-4444-555555555555"),
        *("-smbios", "type=3,asset=7783-7084-3265-9085-8269-3286-77"),
        *("-blockdev", drive, "-device", "virtio-blk-pci,drive=os,bootindex=0", "-device", "virtio-rng-pci"),
        *("-blockdev", f"driver=file,filename={make_cd(folder)},node-name=cd,read-only=on"),
        *("-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=cd"),
        *("-netdev", network, "-device", f"virtio-net-pci,netdev=net,mac={MAC}"),
    ]


def make_disk(state: Path) -> DiskFile:
    """As a VM gets it: the image in a library, and an overlay of it that is larger."""
    storage = Qcow2Storage(state)
    image = storage.library.add_built(build("debian-12", default_cache(), lambda _step, _fraction: None))
    storage.ensure(DiskSpec(id="05", size_bytes=DISK_BYTES, image=image.id))
    return storage.file("05")


@pytest.fixture(params=["bios", "uefi"], scope="module")
def guest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    folder = tmp_path_factory.mktemp("guest")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    platform = Platform((folder / "key.pub").read_text().strip())
    with ExitStack() as stack:
        platform_port = stack.enter_context(platform.serving())
        ssh_port = free_port()
        command = argv(request.param, folder, make_disk(folder / "state"), platform_port, ssh_port)
        process = stack.enter_context(subprocess.Popen(command))
        stack.callback(process.kill)
        found = Guest(folder, process, platform, ssh_port)
        found.wait_for_login()
        yield found


def test_the_guest_reports_ready_and_lets_its_user_in(guest: Guest) -> None:
    assert any("<State>Ready</State>" in post for post in guest.platform.health)
    assert guest.run("hostname; id -un; sudo id -u").split() == ["web", "me", "0"]


def test_the_root_file_system_fills_the_disk(guest: Guest) -> None:
    assert int(guest.run("df --output=size -B1 / | tail -1")) > 0.9 * DISK_BYTES


def test_the_guest_owns_its_keys_and_has_no_password(guest: Guest) -> None:
    assert guest.run("ls /etc/ssh/ssh_host_*_key") == "/etc/ssh/ssh_host_ed25519_key"
    assert guest.run("sudo passwd --status root").split()[1] == "L"
    assert guest.run("awk -F: '$3 >= 1000 && $3 < 60000 {print $1}' /etc/passwd") == "me"
    assert guest.run("sudo awk -F: '$2 !~ /^[!*]/' /etc/shadow") == ""


def test_the_guest_finishes_starting_without_a_failed_unit(guest: Guest) -> None:
    assert guest.run("cloud-init status --wait >/dev/null; systemctl --failed --no-legend --plain") == ""
    assert guest.run("systemctl is-system-running --wait") == "running"
    assert "login:" in guest.serial()
