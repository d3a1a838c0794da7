"""The Perl scripts that give a guest its identity: what they are told, put before what they do."""

from collections.abc import Mapping
from importlib.resources import files

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from skerry.hostspec import Provisioning


def provision(vm: str, provisioning: Provisioning, *, by_cloud_init: bool) -> bytes:
    """The script that makes the VM `vm` its user's while it boots for the first time, in an image that runs it.

    `by_cloud_init`: cloud-init is to do all that, as it also is where there is custom data.
    """
    told = identity(vm, provisioning)
    if by_cloud_init or provisioning.custom_data:
        # The first line is for the image's systemd generator.
        return b"# by cloud-init\n" + _script({**told, "by_cloud_init": "1"})
    return _script(told)


def _script(told: Mapping[str, str]) -> bytes:
    code = guest_file("common.pl") + guest_file("provision.pl")
    return b"$main::parameters = '" + encoded(told) + b"';\n" + code.encode()


def identity(vm: str, provisioning: Provisioning) -> dict[str, str]:
    """The parameters that every such script has; `custom` and `password_login` are "1" or "".

    The SSH host key is a new one each time.
    """
    # Made here as safely as there, and at once: a guest's ssh-keygen takes half a second of an emulated CPU.
    key = Ed25519PrivateKey.generate()
    password_login = provisioning.password_hash and not provisioning.disable_password_authentication
    return {
        "vm": vm,
        "hostname": provisioning.hostname,
        "user": provisioning.admin_username,
        "password_hash": provisioning.password_hash or "",
        "host_key": key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(),
        "host_key_public": key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + "\n",
        "password_login": "1" if password_login else "",
        "ssh_keys": "".join(f"{key}\n" for key in provisioning.ssh_public_keys),
        "custom": "1" if provisioning.custom_data else "",
    }


def encoded(named: Mapping[str, str]) -> bytes:
    """Parameters as the scripts take them: what is in them, but NUL, stays data."""
    return "\0".join(word for pair in named.items() for word in pair).encode().hex().encode()


def guest_file(name: str) -> str:
    """A file of `guest/`."""
    return (files("skerry.guest") / name).read_text()
