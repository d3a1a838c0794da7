"""UEFI firmware: Debian's OVMF, with variables of each VM's own."""

from pathlib import Path

from skerry.host.errors import MissingFeature
from skerry.host.files import write_atomically

# The 4 MiB build; the 2 MiB one is too small for today's variable stores and going away.
CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
VARIABLES = "OVMF_VARS.fd"
TEMPLATE = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
SEABIOS = Path("/usr/share/seabios/bios-256k.bin")


def variables(folder: Path) -> Path:
    """The VM's variable store, copied from the template when it has none yet."""
    own = folder / VARIABLES
    if not own.exists():
        if not TEMPLATE.exists() or not CODE.exists():
            raise MissingFeature(f"no UEFI firmware at {CODE.parent}: install the package ovmf")
        write_atomically(own, TEMPLATE.read_bytes())
    return own
