"""What the command line says."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Accel = Literal["auto", "kvm", "tcg"]

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Options:
    """`pairs`: how often each side is measured, in turns. `accel`: auto, kvm or tcg, as `skerry up` takes it."""

    pairs: int
    accel: Accel

    @property
    def az(self) -> Path:
        """The Azure CLI to compare with."""
        return Path(os.environ.get("SKERRY_AZ") or ROOT / ".venv-az" / "bin" / "az")


class Unavailable(Exception):
    """This machine can't run a benchmark; says what it lacks."""


def need_root() -> None:
    """Raises Unavailable: a real host takes root."""
    if os.geteuid() != 0:
        raise Unavailable("needs root, as `skerry up` does on a real host: run it with sudo")


def need_az(options: Options) -> None:
    """Raises Unavailable without an az."""
    if not options.az.exists():
        raise Unavailable(f"{options.az} is missing: `make az` installs it, or SKERRY_AZ names another")
