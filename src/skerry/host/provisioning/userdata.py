"""The custom data that a guest gets.

Azure hands its guests the password in clear text, in ovf-env.xml. Here only its crypt(5) hash exists, which that
file has no place for, so the hash travels as a cloud-config beside the user's own custom data.
"""

import base64
import email
import json
from email.message import Message
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from skerry.hostspec import Provisioning

GZIP = b"\x1f\x8b"


def user_data(provisioning: Provisioning) -> bytes | None:
    """Custom data for the guest: the user's byte for byte, unless a password hash has to go with it."""
    own = base64.b64decode(provisioning.custom_data) if provisioning.custom_data else None
    if provisioning.password_hash is None:
        return own
    config = _password_config(provisioning.admin_username, provisioning.password_hash)
    if own is None:
        return config.encode()
    return _multipart(config, own)


def _password_config(user: str, crypted: str) -> str:
    """A cloud-config (JSON is YAML) that sets the password. It runs after the user is made, in `set-passwords`."""
    users = [{"name": user, "password": crypted, "type": "hash"}]
    return "#cloud-config\n" + json.dumps({"ssh_pwauth": True, "chpasswd": {"expire": False, "users": users}}) + "\n"


def _multipart(config: str, own: bytes) -> bytes:
    """Ours first: where both set one key, cloud-init lets the later part win."""
    whole = MIMEMultipart()
    whole.attach(MIMEText(config, "cloud-config", "utf-8"))
    whole.attach(_part(own))
    # cloud-init knows a MIME archive by these first words only.
    del whole["MIME-Version"]
    return b"MIME-Version: 1.0\n" + whole.as_bytes()


def _part(own: bytes) -> Message:
    """The user's data as a part whose real type cloud-init will find as it does for a whole: from its content."""
    if own.startswith(GZIP):
        return MIMEApplication(own, "gzip")
    # As in cloud-init's convert_string: within the first 4 KiB.
    if b"mime-version:" in own[:4096].lower():
        return email.message_from_bytes(own)
    return _text(own)


def _text(own: bytes) -> Message:
    part = Message()
    part["MIME-Version"] = "1.0"
    part["Content-Type"] = 'text/plain; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "base64"
    part.set_payload(base64.encodebytes(own).decode())
    return part
