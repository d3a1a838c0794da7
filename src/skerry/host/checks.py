"""What `skerry doctor` shows about a host: one line per thing that Skerry needs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """`detail` says what was found, `mend` what to do about it ("" when there is nothing to do)."""

    name: str
    ok: bool
    detail: str
    mend: str
