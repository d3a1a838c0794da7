"""Microsoft.Compute/sshPublicKeys: keys to give to VMs. A generated private key is answered once and not kept."""

from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from skerry.arm.descriptor import Action, ActionContext, AnyType, PutContext, ResourceType, Result
from skerry.arm.errors import Conflict
from skerry.arm.rows import model_of, set_body
from skerry.resources.compute.keys import validate_public_key
from skerry.resources.compute.ssh_public_key.wire import GenerateKeyPair, KeyPair, SshPublicKey

RSA_BITS = 3072


def _put(context: PutContext[SshPublicKey]) -> None:
    new = context.new.properties
    if new.public_key is not None:
        new.public_key = validate_public_key(new.public_key, "publicKey")
    elif context.old is not None:
        new.public_key = context.old.properties.public_key


def _generate(context: ActionContext) -> Result:
    key = model_of(context.resource, SshPublicKey)
    if key.properties.public_key is not None:
        raise Conflict(
            "OperationNotAllowed",
            f"SSH public key '{key.name}' has a key already. A key pair can be generated only once for each resource.",
        )
    private, public = generate(context.body.encryption_type)
    key.properties.public_key = public
    set_body(context.resource, key)
    context.work.resources.save(context.resource)
    return Result({"privateKey": private, "publicKey": public, "id": key.id})


def generate(kind: Literal["RSA", "Ed25519"]) -> tuple[str, str]:
    """A new key pair: the private key as PEM, the public one as a line of authorized_keys."""
    key = generate_private_key(65537, RSA_BITS) if kind == "RSA" else Ed25519PrivateKey.generate()
    form = PrivateFormat.TraditionalOpenSSL if kind == "RSA" else PrivateFormat.OpenSSH
    private = key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return private, f"{public} generated-by-skerry"


TYPES: tuple[AnyType, ...] = (
    ResourceType(
        "Microsoft.Compute/sshPublicKeys",
        SshPublicKey,
        _put,
        actions={"generateKeyPair": Action(_generate, body=GenerateKeyPair, answer=KeyPair)},
    ),
)
