"""New VMs that continue from a template: quick, and each a machine of its own."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.cloud import Cloud, free_port, until

pytestmark = pytest.mark.warm
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
OF_THE_TEMPLATE = "ls /home; echo 'grep -rl warm-up /var/log /etc/passwd /etc/sudoers.d' | sudo sh || true"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """Skerry with a template for the smallest size."""
    folder = Path(tempfile.mkdtemp(prefix="skerry-warm-"))
    found = Cloud(folder / "state", free_port(), folder / "id_ed25519")
    found.environment = {**os.environ, "SKERRY_STATE": str(found.state)}
    found.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", found.key)
    found.skerry("image", "build", "debian-12")
    try:
        found.up("--warm", "on")
        create(found, "first")
        until(lambda: any(found.state.glob("templates/*/template.json")), 300, "a template is made")
        yield found
    finally:
        found.skerry("down", check=False)
        shutil.rmtree(folder)


def create(cloud: Cloud, name: str, *options: str | Path) -> None:
    key = f"{cloud.key}.pub"
    cloud.skerry("vm", "create", name, "-g", "warm", "--admin-username", "me", "--ssh-key", key, *options)


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
    assert {ask(cloud, name, OF_THE_TEMPLATE) for name in NAMES} == {"me\n"}


def test_they_started_warm_and_say_so(cloud: Cloud) -> None:
    for name in NAMES:
        explained = json.loads(cloud.skerry("vm", "explain", name, "-g", "warm", "-o", "json"))
        assert set(explained["condition"]["phases"]) == {"restored", "agent", "identity"}


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
