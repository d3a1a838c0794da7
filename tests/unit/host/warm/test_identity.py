"""What a clone is told, and that what is told can't be anything but data."""

import re
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.host.warm.identity import Place, parameters, prepare
from skerry.hostspec import PortSpec, Provisioning, SubnetSpec, VnetSpec

GUEST = Path(__file__).parents[4] / "src" / "skerry" / "guest"
PLACE = Place("00:0d:3a:00:00:01", "10.1.0.4/24", "10.1.0.1")
PORT = PortSpec("p1", "vm", "00-0D-3A-00-00-01", "10.1.0.4", "s2", "web")
VNET = VnetSpec(
    "v1", ("10.0.0.0/8",), (SubnetSpec("s1", "10.0.0.0/24"), SubnetSpec("s2", "10.1.0.0/24")), nsgs=(), ports=(PORT,)
)


def told(given: bytes) -> dict[str, str]:
    """The parameters, as the guest's script reads them."""
    words = bytes.fromhex(given.decode()).decode().split("\0")
    return dict(zip(words[::2], words[1::2], strict=True))


def test_a_port_s_place_is_its_subnet_s() -> None:
    assert Place.of([VNET], "p1") == PLACE
    assert Place.of([VNET], "p2") is None


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.binary(max_size=64))
def test_whatever_a_user_wrote_stays_data(text: str, seed: bytes) -> None:
    provisioning = Provisioning(hostname=text, admin_username="me", ssh_public_keys=(text, "two"))
    script = parameters("vm-id", provisioning, PLACE, template_mac="02:00:00:00:00:01", seed=seed)
    found = told(script)
    assert (found["hostname"], found["ssh_keys"], found["seed"]) == (text, f"{text}\ntwo\n", seed.hex())
    assert found["custom"] == ""
    assert (found["mac"], found["address"], found["gateway"]) == (PLACE.mac, PLACE.address, PLACE.gateway)


@pytest.mark.parametrize(
    ("password_hash", "disabled", "login"), [(None, False, ""), ("$6$x", True, ""), ("$6$x", False, "1")]
)
def test_passwords_open_ssh_only_where_they_are_meant_to(password_hash: str | None, disabled: bool, login: str) -> None:
    provisioning = Provisioning(
        hostname="web", admin_username="me", password_hash=password_hash, disable_password_authentication=disabled
    )
    found = told(parameters("vm-id", provisioning, PLACE, template_mac="02:00:00:00:00:01", seed=b"s"))
    assert (found["password_hash"], found["password_login"]) == (password_hash or "", login)


def test_two_clones_are_told_different_machine_ids_and_keys() -> None:
    provisioning = Provisioning(hostname="web", admin_username="me")
    scripts = [parameters("id", provisioning, PLACE, template_mac="x", seed=b"s") for _ in range(2)]
    first, second = map(told, scripts)
    assert first["machine_id"] != second["machine_id"]
    assert re.fullmatch(r"[0-9a-f]{32}", first["machine_id"])
    assert first["host_key"] != second["host_key"]


def test_the_host_key_is_one_that_ssh_reads(tmp_path: Path) -> None:
    found = told(parameters("id", Provisioning(hostname="web", admin_username="me"), PLACE, template_mac="x", seed=b""))
    (tmp_path / "key").write_text(found["host_key"])
    (tmp_path / "key").chmod(0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-f", tmp_path / "key"], capture_output=True, text=True, check=True)
    assert public.stdout == found["host_key_public"]


def test_systemd_is_asked_for_the_user_s_own_by_a_message_of_d_bus() -> None:
    """Every byte of it, as the specification packs it: https://dbus.freedesktop.org/doc/dbus-specification.html"""

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value)) + value.encode() + b"\0"

    def padded(data: bytes, size: int) -> bytes:
        return data + bytes(-len(data) % size)

    def named(code: int, kind: str, value: str) -> bytes:
        return bytes([code, 1]) + kind.encode() + b"\0" + text(value)

    body = padded(text("user@1000.service"), 4) + text("replace")
    fields = padded(named(1, "o", "/org/freedesktop/systemd1"), 8)
    fields += padded(named(2, "s", "org.freedesktop.systemd1.Manager"), 8)
    fields += padded(named(3, "s", "StartUnit"), 8) + b"\x08\x01g\0\x02ss\0"
    # Little endian, a call, to which no reply is expected, version 1; the length of the body, the call's number.
    head = b"l\x01\x01\x01" + struct.pack("<II", len(body), 1) + struct.pack("<I", len(fields)) + fields
    script = (GUEST / "personalise.pl").read_bytes() + b"start_user_manager(\\*STDOUT, 1000);"
    done = subprocess.run(["perl", "-"], input=script, capture_output=True, check=True)
    assert done.stdout == padded(head, 8) + body


def test_the_scripts_are_sound() -> None:
    resident = b"".join((GUEST / name).read_bytes() for name in ("personalise.pl", "resident.pl"))
    perl = subprocess.run(["perl", "-c", "-"], input=resident, capture_output=True, check=False)
    assert (perl.returncode, perl.stderr) == (0, b"- syntax OK\n")
    for text in (prepare(), (GUEST / "first_boot.sh").read_bytes()):
        shell = subprocess.run(["sh", "-n"], input=text, capture_output=True, check=False)
        assert shell.returncode == 0, shell.stderr
