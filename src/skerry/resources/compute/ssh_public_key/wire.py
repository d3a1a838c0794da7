"""Microsoft.Compute/sshPublicKeys on the wire (https://learn.microsoft.com/rest/api/compute/ssh-public-keys)."""

from typing import Annotated, Literal, TypedDict

from msgspec import Meta, Struct, field

from skerry.arm.descriptor import ArmResource, Properties
from skerry.resources.compute.keys import MAX_KEY


class SshPublicKeyProperties(Properties):
    """The key; None until it is put or generated."""

    public_key: Annotated[str, Meta(max_length=MAX_KEY)] | None = None


class SshPublicKey(ArmResource, kw_only=True):
    """A public key that VMs can be given."""

    properties: SshPublicKeyProperties = field(default_factory=SshPublicKeyProperties)


class GenerateKeyPair(Struct, rename="camel", forbid_unknown_fields=True):
    """The body of POST generateKeyPair, which may be left out."""

    encryption_type: Literal["RSA", "Ed25519"] = "RSA"


class KeyPair(TypedDict):
    """What generateKeyPair answers, once."""

    privateKey: str
    publicKey: str
    id: str
