"""What a guest is told at its first boot, and that what is told can't be anything but data."""

import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.host.provisioning.script import provision
from skerry.hostspec import Provisioning


def told(script: bytes) -> dict[str, str]:
    """The parameters in a script, as its own first lines read them."""
    found = re.search(rb"(?m)^\$main::parameters = '([0-9a-f]*)';\n", script)
    assert found
    words = bytes.fromhex(found[1].decode()).decode().split("\0")
    return dict(zip(words[::2], words[1::2], strict=True))


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_whatever_a_user_wrote_stays_data(text: str) -> None:
    provisioning = Provisioning(hostname=text, admin_username=text, ssh_public_keys=(text, "two"), password_hash=text)
    found = told(provision("vm-id", provisioning, by_cloud_init=False))
    assert (found["hostname"], found["user"], found["ssh_keys"]) == (text, text, f"{text}\ntwo\n")
    assert (found["vm"], found["password_hash"]) == ("vm-id", text)


@pytest.mark.parametrize(
    ("custom_data", "by_cloud_init", "left"), [(None, False, False), ("eA==", False, True), (None, True, True)]
)
def test_custom_data_is_left_to_cloud_init_and_so_is_all_else_then(
    custom_data: str | None, by_cloud_init: bool, left: bool
) -> None:
    provisioning = Provisioning(hostname="web", admin_username="me", custom_data=custom_data)
    script = provision("id", provisioning, by_cloud_init=by_cloud_init)
    assert script.startswith(b"# by cloud-init\n") == left
    assert ("by_cloud_init" in told(script)) == left


@pytest.mark.parametrize(
    ("password_hash", "disabled", "login"), [(None, False, ""), ("$6$x", True, ""), ("$6$x", False, "1")]
)
def test_passwords_open_ssh_only_where_they_are_meant_to(password_hash: str | None, disabled: bool, login: str) -> None:
    provisioning = Provisioning(
        hostname="web", admin_username="me", password_hash=password_hash, disable_password_authentication=disabled
    )
    found = told(provision("id", provisioning, by_cloud_init=False))
    assert (found["password_hash"], found["password_login"]) == (password_hash or "", login)


def test_the_script_is_sound() -> None:
    script = provision("id", Provisioning(hostname="web", admin_username="me"), by_cloud_init=False)
    perl = subprocess.run(["perl", "-wc", "-"], input=script, capture_output=True, check=False)
    assert (perl.returncode, perl.stderr) == (0, b"- syntax OK\n")
