"""What a user does, in order: the session of the README with the real az, on real guests.

The tests of this file build on each other: a VM takes half a minute to boot here.
"""

import json
import os
import secrets
import signal
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.system.cloud import AZ, SDK, SKERRY, SSH_OPTIONS, Cloud, Failed, until

pytestmark = pytest.mark.timeout(2400)

VM = "-g demo -n web"


@dataclass(frozen=True)
class Db:
    """The second VM: its administrator's password, what its custom data writes, its private address."""

    password: str
    planted: str
    address: str = ""


@pytest.fixture(scope="module")
def web(cloud: Cloud) -> str:
    """The first VM's `ssh` target."""
    cloud.az("group create -n demo -l local")
    line = "vm create -g demo -n web --image Debian12 --size Standard_B1s --admin-username me --ssh-key-values"
    created = cloud.az(line, f"{cloud.key}.pub")
    assert created["powerState"] == "VM running"
    return f"me@{created['publicIpAddress']}"


def power(cloud: Cloud, name: str = "web") -> str:
    view = cloud.az(f"vm get-instance-view -g demo -n {name}")
    statuses = [status["code"] for status in view["instanceView"]["statuses"]]
    assert len(statuses) == 2
    return str(statuses[1].removeprefix("PowerState/"))


def test_ssh_works_as_soon_as_vm_create_returns(cloud: Cloud, web: str) -> None:
    assert cloud.ssh(web, "hostname").strip() == "web"
    assert cloud.ssh(web, "sudo id -u").strip() == "0"
    assert "10.0.0.4/" in cloud.ssh(web, "ip -br a")


def test_the_guest_has_its_own_kernel_and_the_whole_disk(cloud: Cloud, web: str) -> None:
    assert cloud.ssh(web, "uname -r").strip() != os.uname().release
    size = int(cloud.ssh(web, "df --output=size -B1G / | tail -1"))
    assert size >= 28


def test_the_guest_reads_its_metadata(cloud: Cloud, web: str) -> None:
    url = "http://169.254.169.254/metadata/instance?api-version=2021-02-01"
    document = json.loads(
        cloud.ssh(web, f"curl -s -H Metadata:true '{url}' || wget -qO- --header=Metadata:true '{url}'")
    )
    assert document["compute"]["name"] == "web"
    assert document["compute"]["vmSize"] == "Standard_B1s"


def test_az_shows_the_vm(cloud: Cloud, web: str) -> None:
    table = cloud.run(AZ, "vm", "list", "-d", "-o", "table")
    assert "web" in table
    assert "VM running" in table
    assert web.removeprefix("me@") in table
    assert cloud.az(f"vm show {VM}")["osProfile"]["adminUsername"] == "me"
    addresses = cloud.az(f"vm list-ip-addresses {VM}")[0]["virtualMachine"]["network"]
    assert addresses["publicIpAddresses"][0]["ipAddress"] == web.removeprefix("me@")
    assert addresses["privateIpAddresses"] == ["10.0.0.4"]
    assert power(cloud) == "running"
    shown = cloud.az("resource show -g demo -n web --resource-type Microsoft.Compute/virtualMachines")
    assert shown["name"] == "web"
    assert {item["name"] for item in cloud.az("resource list -g demo")} >= {"web", "webVMNic", "webNSG", "webVNET"}
    assert cloud.run(AZ, "group", "exists", "-n", "demo").strip() == "true"


def test_a_port_is_closed_until_it_is_opened(cloud: Cloud, web: str) -> None:
    cloud.ssh(web, "sudo systemd-run -q --unit=http python3 -m http.server 80")
    cloud.ssh(web, "until ss -ltn | grep -q ':80 '; do sleep 1; done")
    url = f"http://{web.removeprefix('me@')}/"
    with pytest.raises(Failed):
        cloud.run("curl", "-sf", "--max-time", "5", url)
    cloud.az(f"vm open-port {VM} --port 80")
    until(lambda: "Directory listing" in cloud.run("curl", "-s", "--max-time", "5", url, check=False), 60, "port 80")


def test_killed_skerry_comes_back_and_the_guest_never_stopped(cloud: Cloud, web: str) -> None:
    booted = cloud.ssh(web, "cat /proc/sys/kernel/random/boot_id")
    os.kill(cloud.pid(), signal.SIGKILL)
    cloud.up()
    # `up` returns once the API serves; addresses are forwarded again a moment later.
    read = [*_hostname(cloud, web)[:-1], "cat /proc/sys/kernel/random/boot_id"]
    until(lambda: booted in cloud.run(*read, check=False), 60, "login after the kill")
    assert power(cloud) == "running"


@pytest.fixture(scope="module")
def db(cloud: Cloud, web: str, tmp_path_factory: pytest.TempPathFactory) -> Db:
    """A second VM in the first one's subnet: no public address, a password, custom data."""
    told = Db(f"Correct-Horse-{secrets.token_hex(4)}", f"planted-{secrets.token_hex(4)}")
    data = tmp_path_factory.mktemp("db") / "data"
    data.write_text(f"#!/bin/sh\necho {told.planted} > /root/from-custom-data\n")
    line = "vm create -g demo -n db --image Debian12 --size Standard_B1s --admin-username me --admin-password"
    more = "--vnet-name webVNET --subnet webSubnet --nsg dbNSG --public-ip-address"
    created = cloud.az(line, told.password, "--custom-data", data, *more.split(), "")
    assert not created["publicIpAddress"]
    return replace(told, address=created["privateIpAddress"])


def test_a_second_vm_in_the_subnet_is_reached_unless_an_nsg_says_no(cloud: Cloud, web: str, db: Db) -> None:
    probe = f"timeout 10 bash -c 'exec 3<>/dev/tcp/{db.address}/22; head -c 4 <&3' || echo closed"
    assert cloud.ssh(web, probe).strip() == "SSH-"
    rule = "-g demo --nsg-name dbNSG -n no-ssh --priority 100 --access Deny --direction Inbound --protocol Tcp"
    cloud.az(f"network nsg rule create {rule} --source-address-prefixes 10.0.0.4 --destination-port-ranges 22")
    assert cloud.ssh(web, probe).strip() == "closed"
    cloud.az("network nsg rule delete -g demo --nsg-name dbNSG -n no-ssh")
    assert cloud.ssh(web, probe).strip() == "SSH-"
    assert cloud.ssh(web, "getent ahostsv4 db").startswith(db.address)


def test_a_password_lets_in_and_custom_data_runs(cloud: Cloud, web: str, db: Db, tmp_path: Path) -> None:
    ask = tmp_path / "ask"
    ask.write_text(f"#!/bin/sh\necho '{db.password}'\n")
    ask.chmod(ask.stat().st_mode | stat.S_IXUSR)
    way = f"ProxyCommand=ssh -i {cloud.key} {' '.join(SSH_OPTIONS)} {web} -W %h:%p"
    words = ["env", f"SSH_ASKPASS={ask}", "SSH_ASKPASS_REQUIRE=force", "ssh", "-o", "PubkeyAuthentication=no"]
    read = [*words, *SSH_OPTIONS, "-o", way, f"me@{db.address}", "sudo cat /root/from-custom-data"]
    until(lambda: db.planted in cloud.run(*read, check=False), 300, "custom data")


def test_secrets_are_in_no_file_and_no_command_line(cloud: Cloud, db: Db) -> None:
    for path in cloud.state.rglob("*"):
        if path.is_file() and path.suffix not in (".qcow2", ".fd"):
            assert db.password.encode() not in path.read_bytes(), path
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            with suppress(OSError):  # it has just ended
                told = (process / name).read_bytes()
                assert db.password.encode() not in told, process
                assert db.planted.encode() not in told, process


def test_power_from_outside_and_inside(cloud: Cloud, web: str) -> None:
    booted = cloud.ssh(web, "cat /proc/sys/kernel/random/boot_id")
    cloud.az(f"vm restart {VM}")
    until(lambda: "web" in cloud.run(*_hostname(cloud, web), check=False), 600, "login after restart")
    assert cloud.ssh(web, "cat /proc/sys/kernel/random/boot_id") != booted
    cloud.run(*_hostname(cloud, web)[:-1], "sudo systemctl poweroff", check=False)
    until(lambda: power(cloud) == "stopped", 300, "the guest's own shutdown")
    cloud.az(f"vm start {VM}")
    assert power(cloud) == "running"
    cloud.az(f"vm stop {VM} --skip-shutdown")
    assert power(cloud) == "stopped"
    cloud.az(f"vm deallocate {VM}")
    assert power(cloud) == "deallocated"
    cloud.az(f"vm resize {VM} --size Standard_B2s")
    cloud.az(f"vm start {VM}")
    until(lambda: "web" in cloud.run(*_hostname(cloud, web), check=False), 600, "login after deallocate")
    assert cloud.ssh(web, "nproc").strip() == "2"


def _hostname(cloud: Cloud, web: str) -> list[str]:
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=10"]
    return ["ssh", "-i", str(cloud.key), *options, web, "hostname"]


def test_the_serial_log_is_read_through_boot_diagnostics(cloud: Cloud, web: str) -> None:
    cloud.az(f"vm boot-diagnostics enable {VM}")
    assert "login:" in cloud.run(AZ, "vm", "boot-diagnostics", "get-boot-log", "-g", "demo", "-n", "web")


def test_errors_are_az_errors(cloud: Cloud, web: str) -> None:
    assert "not valid" in cloud.az_fails(
        "vm create -g demo -n x --image Debian12 --size Standard_Nope --generate-ssh-keys"
    )
    assert "InUseSubnetCannotBeDeleted" in cloud.az_fails(
        "network vnet subnet delete -g demo --vnet-name webVNET -n webSubnet"
    )
    assert "was not found" in cloud.az_fails("vm show -g demo -n none")
    assert "InvalidAction" in cloud.az_fails(f"vm run-command invoke {VM} --command-id RunShellScript --scripts id")


def test_the_sdks_make_a_vm_in_a_vnet_of_the_same_prefix(cloud: Cloud, web: str, tmp_path: Path) -> None:
    cloud.az("vm delete -g demo -n db --yes")
    output = cloud.run(SDK, Path(__file__).with_name("sdk_session.py"), f"{cloud.key}.pub")
    made = json.loads(output)
    assert made["private"] == "10.0.0.4"
    assert cloud.ssh(f"sdk@{made['public']}", "hostname").strip() == "sdk"
    assert cloud.ssh(f"sdk@{made['public']}", "hostname -I").strip() == "10.0.0.4"
    assert cloud.ssh(web, "hostname").strip() == "web"
    # Both are 10.0.0.4 in a VNet of their own: what each sees there is itself.
    seen = cloud.ssh(web, "timeout 10 bash -c 'exec 3<>/dev/tcp/10.0.0.5/22' || echo nobody")
    assert seen.strip() == "nobody"
    cloud.az("group delete -n sdk -y")
    assert cloud.run(AZ, "group", "exists", "-n", "sdk").strip() == "false"


def test_the_light_client_does_the_same(cloud: Cloud, web: str) -> None:
    assert "web" in cloud.skerry("vm", "list", "-g", "demo")
    shown = json.loads(cloud.skerry("vm", "show", "web", "-g", "demo", "-o", "json"))
    assert shown["name"] == "web"
    assert "Skerry" in cloud.skerry("status")
    assert cloud.run(SKERRY, "doctor").count("\n") > 5


def test_delete_and_down_leave_nothing(cloud: Cloud, web: str) -> None:
    cloud.az(f"vm stop {VM}")
    assert power(cloud) == "stopped"
    assert "Power down" in cloud.run(AZ, "vm", "boot-diagnostics", "get-boot-log", "-g", "demo", "-n", "web")
    cloud.az(f"vm delete {VM} --yes")
    cloud.az("group delete -n demo -y")
    assert cloud.az("group list") == []
    assert list((cloud.state / "vms").iterdir()) == []
    assert list((cloud.state / "disks").iterdir()) == []
    cloud.skerry("down")
    namespaces = cloud.run("ip", "netns", "list")
    assert str(cloud.state) not in cloud.run("ps", "-eo", "args")
    from skerry.host.network.names import Names

    assert Names.of(cloud.state).prefix not in namespaces
