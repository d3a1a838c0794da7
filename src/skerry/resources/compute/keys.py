"""SSH public keys as clients hand them in.

Source: https://learn.microsoft.com/azure/virtual-machines/linux/mac-create-ssh-keys (RSA from 2048 bits, Ed25519).
"""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from skerry.arm.errors import BadRequest

MIN_RSA_BITS, MAX_RSA_BITS = 2048, 16384
MAX_KEY = 8192  # characters, with its comment
_TYPES = ("ssh-rsa", "ssh-ed25519")


def validate_public_key(text: str, target: str = "linuxConfiguration.ssh.publicKeys.keyData") -> str:
    """The key as one line of authorized_keys, white space around it dropped. Raises BadRequest `InvalidParameter`."""
    key = text.strip()
    if not key.isprintable():
        raise _invalid("it must be one line", target)
    if key.partition(" ")[0] not in _TYPES:
        raise _invalid(f"it must start with one of {', '.join(_TYPES)}", target)
    try:
        loaded = load_ssh_public_key(key.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _invalid("it can't be decoded", target) from error
    if isinstance(loaded, RSAPublicKey) and not MIN_RSA_BITS <= loaded.key_size <= MAX_RSA_BITS:
        raise _invalid(f"an RSA key must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {loaded.key_size}", target)
    return key


def _invalid(reason: str, target: str) -> BadRequest:
    return BadRequest(
        "InvalidParameter", f"The value of parameter {target} is invalid: {reason}. Use an OpenSSH key.", target=target
    )
