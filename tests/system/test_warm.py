"""New VMs that continue from a template: each a machine of its own, whatever happens to the template and to Skerry."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.system.cloud import SKERRY, Cloud, cloud_of_its_own, until

from skerry.host.warm.guest_agent import GuestAgent

pytestmark = pytest.mark.warm
WARM = ("--warm", "on", "--standby", "0")  # test_standby.py has those
NAMES = ("c1", "c2", "c3", "c4", "c5")
# One line per thing that no two machines share.
IDENTITY = """
hostname; cat /etc/machine-id; sudo cat /sys/class/dmi/id/product_uuid; cat /sys/class/net/eth0/address
ip -4 -o address show dev eth0 | awk '{ print $4 }'; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
head -c 32 /dev/urandom | base64; uuidgen; python3 -c 'import ssl; print(ssl.RAND_bytes(32).hex())'
ssh-keygen -q -t ed25519 -N '' -f /tmp/key && ssh-keygen -lf /tmp/key
"""
SAME = """
cat /etc/machine-id; hostname; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
ip -4 -o address show dev eth0 | awk '{ print $4 }'; sudo cat /root/custom-data || true
"""
# By the shell's input: sudo writes what it runs into the journal, which is looked through.
OF_THE_TEMPLATE = """
ls /home; loginctl --no-legend list-users | awk '{ print $2 }'
echo 'grep -rl warm-up /var/log /etc/passwd /etc/sudoers.d' | sudo sh || true
"""


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """Skerry with a template for the smallest size."""
    with cloud_of_its_own(*WARM) as found:
        found.skerry("image", "warm", "debian-12")
        yield found


def create(cloud: Cloud, name: str, *options: str | Path) -> None:
    key = f"{cloud.key}.pub"
    cloud.skerry("vm", "create", name, "-g", "warm", "--admin-username", "me", "--ssh-key", key, *options)


def phases(cloud: Cloud, name: str) -> set[str]:
    """Of its warm start; none for a cold one."""
    explained = json.loads(cloud.skerry("vm", "explain", name, "-g", "warm", "-o", "json"))
    return set(explained["condition"]["phases"])


def templates(cloud: Cloud) -> list[Path]:
    return [path.parent for path in cloud.state.glob("templates/[!.]*/template.json")]


def logged(cloud: Cloud, event: str) -> bool:
    return f'"{event}"' in (cloud.state / "logs" / "skerry.log").read_text()


def qemus(identifier: str) -> list[Path]:
    """The processes that run a guest."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if identifier.encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent)
    return found


def unborn(cloud: Cloud) -> tuple[str, int] | None:
    """The id and process of a VM that is just starting warm."""
    for path in cloud.state.glob("vms/[!.]*/argv.json"):
        record = json.loads(path.read_text())
        if record["unborn"] and record["pid"]:
            return path.parent.name, int(record["pid"])
    return None


@contextmanager
def creating(cloud: Cloud, name: str) -> Iterator[tuple[str, int]]:
    """A VM under way, at the moment when its QEMU was started to continue from a template."""
    create(cloud, name, "--no-wait")
    end = time.monotonic() + 60
    while (found := unborn(cloud)) is None:
        assert time.monotonic() < end, f"{name} does not start warm"
        time.sleep(0.005)
    yield found


def ready(cloud: Cloud, name: str) -> None:
    def succeeded() -> bool:
        shown = json.loads(cloud.skerry("vm", "show", name, "-g", "warm", "-o", "json"))
        return bool(shown["properties"]["provisioningState"] == "Succeeded")

    until(succeeded, 600, f"{name} is ready")


def ask(cloud: Cloud, name: str, command: str) -> str:
    shown = json.loads(cloud.skerry("vm", "show", name, "-g", "warm", "-o", "json"))
    return cloud.ssh(f"me@{shown['publicIps']}", command)


def test_five_clones_share_nothing(cloud: Cloud) -> None:
    for name in NAMES:
        create(cloud, name)
    told = {name: ask(cloud, name, IDENTITY).splitlines() for name in NAMES}
    assert [lines[0] for lines in told.values()] == list(NAMES)
    for values in zip(*told.values(), strict=True):
        assert len(set(values)) == len(NAMES), values
    assert {ask(cloud, name, OF_THE_TEMPLATE) for name in NAMES} == {"me\nme\n"}


def test_they_started_warm_and_say_so(cloud: Cloud) -> None:
    for name in NAMES:
        assert phases(cloud, name) == {"restored", "agent", "identity"}


def in_guest(cloud: Cloud, name: str, command: str) -> str:
    """What a command says that nobody logged in for: by the guest agent."""
    shown = json.loads(cloud.skerry("vm", "show", name, "-g", "warm", "-o", "json"))
    with GuestAgent(cloud.state / "vms" / shown["properties"]["vmId"] / "qga.sock") as agent:
        agent.wait(60)
        return agent.run("/bin/sh", command.encode(), 60, check=False).strip()


def user_manager(cloud: Cloud, name: str) -> str:
    return in_guest(cloud, name, "systemctl is-active user@1000")


def test_what_a_first_login_waits_for_runs_before_it(cloud: Cloud) -> None:
    create(cloud, "early")
    until(lambda: user_manager(cloud, "early") == "active", 60, "the user's systemd runs")
    before = in_guest(cloud, "early", "systemctl show -P MainPID user@1000")
    assert ask(cloud, "early", "systemctl show -P MainPID user@1000").strip() == before
    cloud.skerry("vm", "delete", "early", "-g", "warm", "-y")


def test_nothing_of_a_quick_start_is_left_where_nobody_logs_in(cloud: Cloud) -> None:
    """A user's systemd that nobody needs, and daemons that stand back."""
    create(cloud, "late")
    until(lambda: user_manager(cloud, "late") == "active", 60, "the user's systemd runs")
    until(lambda: user_manager(cloud, "late") == "inactive", 240, "nobody's systemd ends")
    nice = "ps -o ni= -p $(pidof systemd-resolved) -p $(pidof systemd-timesyncd)"
    assert in_guest(cloud, "late", nice).split() == ["0", "0"]
    assert in_guest(cloud, "late", "ls /run/user") == ""
    assert ask(cloud, "late", "systemctl --user is-system-running --wait; ls -d /run/skerry || true").split() == [
        "running"
    ]
    cloud.skerry("vm", "delete", "late", "-g", "warm", "-y")


def test_custom_data_runs_as_on_a_first_boot(cloud: Cloud, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_text("#!/bin/sh\necho ran >>/root/custom-data\n")
    create(cloud, "custom", "--custom-data", data)
    until(lambda: "ran" in ask(cloud, "custom", "sudo cat /root/custom-data || true"), 240, "custom data runs")
    instance = ask(cloud, "custom", "sudo cat /var/lib/cloud/data/instance-id /sys/class/dmi/id/product_uuid").split()
    assert instance[0] == instance[1]


@pytest.mark.parametrize("name", ["c1", "custom"])
def test_after_a_restart_it_is_the_same_machine(cloud: Cloud, name: str) -> None:
    before = ask(cloud, name, SAME)
    boot = ask(cloud, name, "cat /proc/sys/kernel/random/boot_id")
    cloud.skerry("vm", "restart", name, "-g", "warm")

    def back() -> bool:
        try:
            return ask(cloud, name, "cat /proc/sys/kernel/random/boot_id") != boot
        except AssertionError:
            return False

    until(back, 240, "it boots from its own disk")
    ask(cloud, name, "cloud-init status --wait >/dev/null || true")
    assert ask(cloud, name, SAME) == before


def test_skerry_killed_during_a_warm_start_gives_the_vm_an_identity_all_the_same(cloud: Cloud) -> None:
    with creating(cloud, "killed"):
        os.kill(cloud.pid(), signal.SIGKILL)
    cloud.up(*WARM)
    ready(cloud, "killed")
    assert ask(cloud, "killed", "hostname") == "killed\n"
    assert unborn(cloud) is None


def test_a_guest_that_does_not_answer_is_started_cold_and_its_template_is_checked(cloud: Cloud) -> None:
    before = templates(cloud)
    with creating(cloud, "mute") as (_, pid):
        os.kill(pid, signal.SIGSTOP)
    ready(cloud, "mute")
    assert not phases(cloud, "mute")
    assert ask(cloud, "mute", "hostname") == "mute\n"
    until(lambda: logged(cloud, "a template was checked and is kept"), 600, "a trial clone is made")
    assert templates(cloud) == before


def test_a_damaged_template_is_made_anew(cloud: Cloud) -> None:
    (before,) = templates(cloud)
    state = before / "state"
    state.write_bytes(b"X" + state.read_bytes()[1:])
    create(cloud, "damaged")
    assert not phases(cloud, "damaged")
    assert logged(cloud, "template dropped")
    until(lambda: bool(templates(cloud)), 600, "another template is made")
    assert templates(cloud) != [before]
    create(cloud, "mended")
    assert phases(cloud, "mended")


def test_a_full_disk_leaves_no_half_a_template(cloud: Cloud) -> None:
    cloud.skerry("down", "--keep-vms")
    disks = list(cloud.state.glob("templates/*/disk.qcow2"))  # VMs are on them
    small = f"size={sum(path.stat().st_blocks * 512 for path in disks) + (40 << 20)}"
    with tempfile.TemporaryDirectory() as aside:
        for path in disks:
            (Path(aside) / path.parent.name).mkdir()
            shutil.copy(path, Path(aside) / path.parent.name)
        subprocess.run(["mount", "-t", "tmpfs", "-o", small, "tmpfs", cloud.state / "templates"], check=True)
        shutil.copytree(aside, cloud.state / "templates", dirs_exist_ok=True)
    try:
        cloud.up(*WARM)
        until(lambda: logged(cloud, "no template was made; VMs like it start cold"), 600, "a template is tried")
        assert not templates(cloud)
        assert not list(cloud.state.glob("templates/.*"))
    finally:
        cloud.skerry("down")
        subprocess.run(["umount", cloud.state / "templates"], check=True)
        cloud.up(*WARM)


def test_a_kernel_that_knows_vmgenid_hears_that_it_was_cloned(cloud: Cloud) -> None:
    """Debian 13's; 12's doesn't."""
    cloud.skerry("image", "build", "debian-13")
    # A Skerry that runs sees a new image within seconds.
    until(lambda: "start warm" in cloud.skerry("image", "warm", "debian-13", check=False), 600, "a template is made")
    create(cloud, "newer", "--image", "Debian13")
    assert phases(cloud, "newer")
    assert ask(cloud, "newer", "sudo dmesg | grep -c 'reseeded due to virtual machine fork'") == "1\n"


def test_skerry_killed_while_it_makes_a_template_leaves_nothing(cloud: Cloud) -> None:
    order = subprocess.Popen(
        [SKERRY, "image", "warm", "debian-12", "--size", "Standard_B1ls"],
        env=cloud.environment,
        stderr=subprocess.DEVNULL,
    )
    making = "templates/.*"  # once the VMs that boot again have done so
    until(lambda: any(qemus(path.name[1:]) for path in cloud.state.glob(making)), 900, "a template is being made")
    names = [path.name[1:] for path in cloud.state.glob(making)]
    os.kill(cloud.pid(), signal.SIGKILL)
    assert order.wait(60)
    cloud.up("--warm", "off")
    assert not list(cloud.state.glob(making))
    assert not [process for name in names for process in qemus(name)]
