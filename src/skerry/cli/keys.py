"""The user's SSH keys: their own if they have one, else one that Skerry makes for them under STATE/keys."""

import os
from pathlib import Path

from skerry.cli.errors import CliError

GENERATED = Path("keys") / "user_ed25519"
# In the order in which ssh itself tries them; DSA and security keys aside.
_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")


def public_key(given: Path | None, generated: Path) -> tuple[str, Path, bool]:
    """An authorized_keys line, the file it is from and whether that was made just now.

    `given`, or the user's own key, or `generated` (made when it isn't there). Raises CliError for an unusable file.
    """
    if given is not None:
        return _read(given), given, False
    for name in _NAMES:
        path = Path.home() / ".ssh" / f"{name}.pub"
        if path.is_file():
            return _read(path), path, False
    path = generated.with_suffix(".pub")
    if path.is_file():
        return _read(path), path, False
    _generate(generated)
    return _read(path), path, True


def private_keys(generated: Path) -> list[Path]:
    """The keys for ssh's -i: naming one makes ssh forget its defaults, so all are named, or none without ours."""
    if not generated.is_file():
        return []
    own = [Path.home() / ".ssh" / name for name in _NAMES]
    return [generated, *(path for path in own if path.is_file())]


def _read(path: Path) -> str:
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"The SSH key {path} can't be read: {error}. Name another with --ssh-key.") from error
    if not text.startswith(("ssh-", "ecdsa-", "sk-")) or "\n" in text:
        raise CliError(f"{path} is no SSH public key (one line that begins with its type). Name the .pub file.")
    return text


def _generate(path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private)
    path.with_suffix(".pub").write_bytes(public + b" skerry\n")
