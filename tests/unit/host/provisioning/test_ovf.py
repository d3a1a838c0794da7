"""ovf-env.xml and its custom data, read back as cloud-init reads them."""

import base64
import email
import gzip
import json
from io import BytesIO
from xml.etree import ElementTree

from pycdlib.pycdlib import PyCdlib

from skerry.host.provisioning.iso import provisioning_cd
from skerry.host.provisioning.ovf import ovf_env
from skerry.host.provisioning.userdata import user_data
from skerry.hostspec import Provisioning

WA = "{http://schemas.microsoft.com/windowsazure}"
HASH = "$6$salt$hash"
SCRIPT = b"#!/bin/sh\necho \xc3\xa9\n"


def provisioning(custom_data: bytes | None = None, password_hash: str | None = None) -> Provisioning:
    return Provisioning(
        hostname="web<1>",
        admin_username="me",
        ssh_public_keys=("ssh-ed25519 AAAA me@here",),
        password_hash=password_hash,
        disable_password_authentication=password_hash is None,
        custom_data=base64.b64encode(custom_data).decode() if custom_data is not None else None,
    )


def value(xml: bytes, path: str) -> str | None:
    return ElementTree.fromstring(xml).findtext("/".join(WA + part for part in path.split("/")))


def parts(data: bytes | None) -> list[bytes]:
    assert data is not None
    assert data.lower().startswith(b"mime-version:")
    whole = email.message_from_bytes(data)
    return [part.get_payload(decode=True) for part in whole.walk() if not part.is_multipart()]  # type: ignore[misc]


def test_the_guest_finds_what_it_needs() -> None:
    xml = ovf_env(provisioning(SCRIPT))
    linux = "ProvisioningSection/LinuxProvisioningConfigurationSet"
    assert value(xml, f"{linux}/HostName") == "web<1>"
    assert value(xml, f"{linux}/UserName") == "me"
    assert value(xml, f"{linux}/DisableSshPasswordAuthentication") == "true"
    assert base64.b64decode(value(xml, f"{linux}/CustomData") or "") == SCRIPT
    assert value(xml, f"{linux}/SSH/PublicKeys/PublicKey/Value") == "ssh-ed25519 AAAA me@here"
    assert value(xml, "PlatformSettingsSection/PlatformSettings/PreprovisionedVm") == "false"
    assert value(xml, f"{linux}/UserPassword") is None


def test_without_custom_data_there_is_no_such_element() -> None:
    xml = ovf_env(provisioning())
    assert value(xml, "ProvisioningSection/LinuxProvisioningConfigurationSet/CustomData") is None


def test_custom_data_is_untouched_without_a_password() -> None:
    assert user_data(provisioning(b"\x00\xff anything")) == b"\x00\xff anything"
    assert user_data(provisioning()) is None


def test_a_password_goes_as_a_cloud_config() -> None:
    data = user_data(provisioning(password_hash=HASH))
    assert data is not None
    head, config = data.decode().split("\n", 1)
    assert head == "#cloud-config"
    assert json.loads(config) == {
        "ssh_pwauth": True,
        "chpasswd": {"expire": False, "users": [{"name": "me", "password": HASH, "type": "hash"}]},
    }


def test_a_password_and_custom_data_travel_together() -> None:
    config, own = parts(user_data(provisioning(SCRIPT, HASH)))
    assert config.startswith(b"#cloud-config\n")
    assert own == SCRIPT


def test_compressed_custom_data_says_so() -> None:
    packed = gzip.compress(SCRIPT)
    whole = email.message_from_bytes(user_data(provisioning(packed, HASH)) or b"")
    own = list(whole.walk())[-1]
    assert (own.get_content_type(), own.get_payload(decode=True)) == ("application/gzip", packed)


def test_a_mime_archive_becomes_a_part() -> None:
    archive = b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="x"\n\n--x\n\n#!/bin/true\n--x--\n'
    assert parts(user_data(provisioning(archive, HASH)))[1] == b"#!/bin/true"


def test_the_cd_holds_the_file_under_its_real_name() -> None:
    iso, content = PyCdlib(), BytesIO()
    iso.open_fp(BytesIO(provisioning_cd(b"<Environment/>")))
    iso.get_file_from_iso_fp(content, rr_path="/ovf-env.xml")
    assert content.getvalue() == b"<Environment/>"
    iso.get_file_from_iso_fp(BytesIO(), joliet_path="/ovf-env.xml")
    iso.close()
