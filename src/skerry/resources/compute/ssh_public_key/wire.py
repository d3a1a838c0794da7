"""Microsoft.Compute/sshPublicKeys on the wire (https://learn.microsoft.com/rest/api/compute/ssh-public-keys)."""

from typing import Literal

from msgspec import Struct, field

from skerry.arm.descriptor import ArmResource, Properties


class SshPublicKeyProperties(Properties):
    """The key; None until it is put or generated."""

    public_key: str | None = None


class SshPublicKey(ArmResource, kw_only=True):
    """A public key that VMs can be given."""

    properties: SshPublicKeyProperties = field(default_factory=SshPublicKeyProperties)


class GenerateKeyPair(Struct, rename="camel", forbid_unknown_fields=True):
    """The body of POST generateKeyPair, which may be left out."""

    encryption_type: Literal["RSA", "Ed25519"] = "RSA"
