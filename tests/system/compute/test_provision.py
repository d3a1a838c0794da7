"""The script of a first boot, run in a root folder of its own: the host's programs, and files of a fresh system."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from skerry.host.network.wireserver import Health, parse_health
from skerry.host.provisioning.script import provision
from skerry.hostspec import Provisioning

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as Skerry's default mode does")

# $1: the root folder. The host name that is set is one of a namespace of its own.
RUN = """
mount --bind /usr "$1/usr"
mount --bind /dev "$1/dev"
mount -t proc proc "$1/proc"
chroot "$1" /usr/bin/perl -w /script
"""
OFF = "etc/cloud/cloud-init.disabled"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folders = "proc dev usr run tmp home var/lib etc/ssh/sshd_config.d etc/sudoers.d etc/cloud/cloud.cfg.d etc/skel"
    for name in folders.split():
        (tmp_path / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (tmp_path / name).symlink_to(f"usr/{name}")
    files = {
        "passwd": "root:x:0:0::/root:/bin/sh\n",
        "shadow": "root:!:1::::::\n",
        "group": "root:x:0:\nadm:x:4:one\nsudo:x:27:\n",
        "gshadow": "adm:*::one\nsudo:*::\n",
        "hosts": "127.0.0.1 localhost\n127.0.1.1 before\n",
        "skel/.profile": "umask 022\n",
        "subuid": "",
        "subgid": "",
    }
    for name, text in files.items():
        (tmp_path / "etc" / name).write_text(text)
    shutil.copy("/etc/ld.so.cache", tmp_path / "etc")
    return tmp_path


def run(root: Path, vm: str, *, fails: bool = False, by_cloud_init: bool = False, **changes: object) -> Health | None:
    """What the guest would report of it."""
    words: dict[str, object] = {"hostname": "web", "admin_username": "me", "ssh_public_keys": ("ssh-ed25519 AAAA me",)}
    provisioning = Provisioning(**{**words, **changes})  # type: ignore[arg-type]
    (root / "script").write_bytes(provision(vm, provisioning, by_cloud_init=by_cloud_init))
    report = root / "run/skerry-health"
    report.unlink(missing_ok=True)
    words_run = ["unshare", "--mount", "--uts", "sh", "-euc", RUN, "sh", str(root)]
    done = subprocess.run(words_run, check=False, capture_output=True, text=True, timeout=60)
    assert bool(done.returncode) is fails, done.stderr
    assert fails or done.stderr == ""
    return parse_health(report.read_bytes()) if report.exists() else None


def text(root: Path, name: str) -> str:
    return (root / name).read_text()


def test_a_new_machine_gets_its_name_its_user_and_a_key(root: Path) -> None:
    assert run(root, "vm-1") == Health("Ready", "")
    assert text(root, "etc/hostname") == "web\n"
    assert text(root, "etc/hosts") == "127.0.0.1 localhost\n127.0.1.1 web\n"
    assert "me:x:1000:1000::/home/me:/bin/bash\n" in text(root, "etc/passwd")
    assert text(root, "etc/shadow").splitlines()[1].startswith("me:!:")
    assert text(root, "etc/group").endswith("adm:x:4:one,me\nsudo:x:27:me\nme:x:1000:\n")
    assert text(root, "etc/subuid") == "me:100000:65536\n"
    assert text(root, "home/me/.ssh/authorized_keys") == "ssh-ed25519 AAAA me\n"
    owners = {path.stat().st_uid for path in (root / "home/me", *(root / "home/me").rglob("*"))}
    assert owners == {1000}
    assert (root / "etc/ssh/ssh_host_ed25519_key").stat().st_mode & 0o777 == 0o600
    assert not (root / "etc/ssh/sshd_config.d/50-cloud-init.conf").exists()
    assert (root / OFF).exists()


def test_a_guest_that_reboots_keeps_what_it_has_become(root: Path) -> None:
    run(root, "vm-1")
    key = text(root, "etc/ssh/ssh_host_ed25519_key")
    (root / "home/me/.ssh/authorized_keys").write_text("mine\n")
    assert run(root, "vm-1") == Health("Ready", "")
    assert text(root, "etc/ssh/ssh_host_ed25519_key") == key
    assert text(root, "home/me/.ssh/authorized_keys") == "mine\n"
    assert (root / OFF).exists()


def test_a_machine_made_from_another_s_image_is_its_own(root: Path) -> None:
    run(root, "vm-1")
    key = text(root, "etc/ssh/ssh_host_ed25519_key")
    assert run(root, "vm-2", password_hash="$6$salt$1x", disable_password_authentication=False) == Health("Ready", "")
    assert text(root, "etc/ssh/ssh_host_ed25519_key") != key
    assert text(root, "etc/shadow").splitlines()[1].startswith("me:$6$salt$1x:")
    assert text(root, "etc/passwd").count("me:x") == 1
    assert text(root, "etc/group").count("me") == 3
    assert text(root, "etc/ssh/sshd_config.d/50-cloud-init.conf") == "PasswordAuthentication yes\n"
    assert run(root, "vm-3", admin_username="you") == Health("Ready", "")
    assert "you:x:1001:1001::/home/you:/bin/bash\n" in text(root, "etc/passwd")


@pytest.mark.parametrize(("custom_data", "by_cloud_init"), [("eA==", False), (None, True)])
def test_what_is_cloud_init_s_is_left_to_it(root: Path, custom_data: str | None, by_cloud_init: bool) -> None:
    run(root, "vm-1")
    (root / "etc/cloud/cloud.cfg.d/95_skerry_clone.cfg").write_text("ssh_deletekeys: false\n")
    before = text(root, "etc/passwd")
    assert run(root, "vm-2", custom_data=custom_data, by_cloud_init=by_cloud_init) is None
    assert text(root, "etc/passwd") == before
    assert not (root / OFF).exists()
    assert not (root / "etc/cloud/cloud.cfg.d/95_skerry_clone.cfg").exists()


def test_cloud_init_turned_off_by_its_user_stays_off(root: Path) -> None:
    (root / OFF).write_text("mine\n")
    run(root, "vm-1", by_cloud_init=True)
    assert text(root, OFF) == "mine\n"


def test_what_goes_wrong_is_reported(root: Path) -> None:
    shutil.rmtree(root / "etc/sudoers.d")
    health = run(root, "vm-1", fails=True)
    assert health is not None
    assert health.state == "NotReady"
    assert "/etc/sudoers.d/90-cloud-init-users: No such file" in health.description
