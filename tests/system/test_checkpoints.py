"""Checkpoints and forks of a Debian VM on a real host: its processes go on, and every fork is a machine of its own."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.system.cloud import Cloud, cloud_of_its_own, until

pytestmark = pytest.mark.checkpoints
# A counter in memory, which nothing writes down, beside a file that is written and flushed all the time.
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
echo before >~/file; sleep 3
"""
COUNT = """python3 -c '
import socket; s = socket.socket(socket.AF_UNIX); s.connect("/tmp/count"); print(s.recv(99).decode())'
"""
IDENTITY = """
hostname; cat /etc/machine-id; sudo cat /sys/class/dmi/id/product_uuid; cat /sys/class/net/eth0/address
ip -4 -o address show dev eth0 | awk '{ print $4 }'; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
head -c 32 /dev/urandom | base64; python3 -c 'import ssl; print(ssl.RAND_bytes(32).hex())'
"""
SAME = "cat /etc/machine-id; hostname; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
NAMES = ("first", "first-1", "first-2")


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """Skerry with a VM that counts."""
    with cloud_of_its_own("--warm", "off") as found:
        key = f"{found.key}.pub"
        found.skerry("vm", "create", "first", "-g", "kept", "--admin-username", "me", "--ssh-key", key)
        ask(found, "first", WORK)
        yield found


def vm(cloud: Cloud, verb: str, *words: str) -> Any:
    return json.loads(cloud.skerry("vm", verb, *words, "-g", "kept", "-o", "json"))


def ask(cloud: Cloud, name: str, command: str) -> str:
    return cloud.ssh(f"me@{vm(cloud, 'show', name)['publicIps']}", command)


def count(cloud: Cloud, name: str) -> int:
    return int(ask(cloud, name, COUNT))


def test_forks_go_on_as_machines_of_their_own(cloud: Cloud) -> None:
    before = count(cloud, "first")
    kept = vm(cloud, "checkpoint", "first", "--name", "one")["properties"]["skerry"]
    assert 0 < kept["diskPauseSeconds"] <= kept["pauseSeconds"]
    ask(cloud, "first", "echo after >~/file; touch ~/later")
    vm(cloud, "fork", "first", "--from", "one", "--count", "2")
    told = {name: ask(cloud, name, IDENTITY).splitlines() for name in NAMES}
    assert [lines[0] for lines in told.values()] == list(NAMES)
    for values in zip(*told.values(), strict=True):
        assert len(set(values)) == len(NAMES), told
    for name in NAMES[1:]:
        assert ask(cloud, name, "cat file; ls later 2>/dev/null || true") == "before\n"
        assert abs(int(ask(cloud, name, "date +%s")) - time.time()) < 60
        assert count(cloud, name) > before
        assert set(vm(cloud, "explain", name)["condition"]["phases"]) == {"restored", "agent", "identity"}


def test_a_fork_boots_as_itself(cloud: Cloud) -> None:
    before, boot = ask(cloud, "first-1", SAME), ask(cloud, "first-1", "cat /proc/sys/kernel/random/boot_id")
    cloud.skerry("vm", "restart", "first-1", "-g", "kept")

    def back() -> bool:
        try:
            return ask(cloud, "first-1", "cat /proc/sys/kernel/random/boot_id") != boot
        except AssertionError:
            return False

    until(back, 600, "it boots from its own disk")
    assert ask(cloud, "first-1", SAME) == before


def test_a_vm_is_put_back(cloud: Cloud) -> None:
    same, counted = ask(cloud, "first", SAME), count(cloud, "first")
    cloud.skerry("vm", "restore", "first", "one", "-g", "kept", "--yes")
    assert ask(cloud, "first", "cat file; ls later 2>/dev/null || true") == "before\n"
    assert 3 < count(cloud, "first") < counted
    assert abs(int(ask(cloud, "first", "date +%s")) - time.time()) < 60
    assert ask(cloud, "first", SAME) == same
