"""VM sizes: Azure's names with their vCPUs, memory, and limits of disks and NICs.

Source: https://learn.microsoft.com/azure/virtual-machines/sizes. Local temporary disks are left out: a VM here has
none, whatever its size.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from skerry.arm.errors import BadRequest

GIB = 1 << 30
OS_DISK_MAX_BYTES = 1023 * GIB


@dataclass(frozen=True)
class Family:
    """A series of sizes that share a quota. `name` is that quota's name; `premium`: takes Premium disks."""

    name: str
    label: str
    premium: bool


@dataclass(frozen=True)
class Size:
    """What a VM of this size gets, and how many data disks and NICs it may have."""

    name: str
    family: Family
    vcpus: int
    memory_bytes: int
    max_data_disks: int
    max_nics: int
    os_disk_max_bytes: int = OS_DISK_MAX_BYTES

    @property
    def memory_gib(self) -> float:
        """The memory in GiB; Azure has halves below 4."""
        return self.memory_bytes / GIB


# One size: what stands for * in the series' name, then vCPUs, GiB of memory, data disks, NICs.
_BS = "1ls:1:0.5:2:2 1s:1:1:2:2 1ms:1:2:2:2 2s:2:4:4:3 2ms:2:8:4:3 4ms:4:16:8:4 8ms:8:32:16:4"
_BS_LARGE = "12ms:12:48:16:6 16ms:16:64:32:8 20ms:20:80:32:8"
_B_V2 = (
    "2{a}ts:2:1:4:2 2{a}ls:2:4:4:2 2{a}s:2:8:4:2 4{a}ls:4:8:8:2 4{a}s:4:16:8:2 8{a}ls:8:16:16:2 8{a}s:8:32:16:2 "
    "16{a}ls:16:32:32:4 16{a}s:16:64:32:4 32{a}ls:32:64:32:4 32{a}s:32:128:32:4"
)
_D_V2 = "1:1:3.5:4:2 2:2:7:8:2 3:4:14:16:4 4:8:28:32:8 5:16:56:64:8"
_D_V2_MEMORY = "11:2:14:8:2 12:4:28:16:4 13:8:56:32:8 14:16:112:64:8 15:20:140:64:8"
_D = "2:2:8:4:2 4:4:16:8:2 8:8:32:16:4 16:16:64:32:8 32:32:128:32:8 48:48:192:32:8 64:64:256:32:8"
_D_96 = f"{_D} 96:96:384:32:8"
_D_V6 = (
    "2:2:8:8:2 4:4:16:12:2 8:8:32:24:4 16:16:64:48:8 32:32:128:64:8 48:48:192:64:8 64:64:256:64:8 96:96:384:64:8 "
    "128:128:512:64:8 192:192:768:64:8"
)
_E = "2:2:16:4:2 4:4:32:8:2 8:8:64:16:4 16:16:128:32:8 20:20:160:32:8 32:32:256:32:8 48:48:384:32:8"
_E_V3 = f"{_E} 64:64:432:32:8"
_E_V4 = f"{_E} 64:64:504:32:8"
_E_96 = f"{_E} 64:64:512:32:8 96:96:672:32:8"
_E_V6 = (
    "2:2:16:8:2 4:4:32:12:2 8:8:64:24:4 16:16:128:48:8 20:20:160:48:8 32:32:256:64:8 48:48:384:64:8 64:64:512:64:8 "
    "96:96:768:64:8 128:128:1024:64:8"
)
_F = "1:1:2:4:2 2:2:4:8:2 4:4:8:16:4 8:8:16:32:8 16:16:32:64:8"
_F_V2 = "2:2:4:4:2 4:4:8:8:2 8:8:16:16:4 16:16:32:32:4 32:32:64:32:8 48:48:96:32:8 64:64:128:32:8 72:72:144:32:8"

# Names with a *, the quota's name without "Family", its label without "Standard … Family vCPUs", Premium, sizes.
_SERIES: tuple[tuple[str, str, str, bool, str], ...] = (
    ("B*", "standardBS", "BS", True, f"{_BS} {_BS_LARGE}"),
    ("B*_v2", "standardBsv2", "Bsv2", True, _B_V2.replace("{a}", "")),
    ("B*_v2", "standardBasv2", "Basv2", True, _B_V2.replace("{a}", "a")),
    ("D*_v2", "standardDv2", "Dv2", False, f"{_D_V2} {_D_V2_MEMORY}"),
    ("DS*_v2", "standardDSv2", "DSv2", True, f"{_D_V2} {_D_V2_MEMORY}"),
    ("D*_v3", "standardDv3", "Dv3", False, _D),
    ("D*s_v3", "standardDSv3", "DSv3", True, _D),
    ("D*_v4", "standardDv4", "Dv4", False, _D),
    ("D*s_v4", "standardDSv4", "DSv4", True, _D),
    ("D*ds_v4", "standardDDSv4", "DDSv4", True, _D),
    ("D*as_v4", "standardDASv4", "DASv4", True, _D_96),
    ("D*_v5", "standardDv5", "Dv5", False, _D_96),
    ("D*s_v5", "standardDSv5", "DSv5", True, _D_96),
    ("D*ds_v5", "standardDDSv5", "DDSv5", True, _D_96),
    ("D*as_v5", "standardDASv5", "DASv5", True, _D_96),
    ("D*ads_v5", "standardDADSv5", "DADSv5", True, _D_96),
    ("D*s_v6", "StandardDsv6", "Dsv6", True, _D_V6),
    ("D*as_v6", "StandardDasv6", "Dasv6", True, _D_96),
    ("E*_v3", "standardEv3", "Ev3", False, _E_V3),
    ("E*s_v3", "standardESv3", "ESv3", True, _E_V3),
    ("E*s_v4", "standardESv4", "ESv4", True, _E_V4),
    ("E*ds_v4", "standardEDSv4", "EDSv4", True, _E_V4),
    ("E*as_v4", "standardEASv4", "EASv4", True, _E_96),
    ("E*s_v5", "standardESv5", "ESv5", True, _E_96),
    ("E*ds_v5", "standardEDSv5", "EDSv5", True, _E_96),
    ("E*as_v5", "standardEASv5", "EASv5", True, _E_96),
    ("E*ads_v5", "standardEADSv5", "EADSv5", True, _E_96),
    ("E*s_v6", "StandardEsv6", "Esv6", True, _E_V6),
    ("F*", "standardF", "F", False, _F),
    ("F*s", "standardFS", "FS", True, _F),
    ("F*s_v2", "standardFSv2", "FSv2", True, _F_V2),
)


def _sizes() -> Iterator[Size]:
    for pattern, quota, label, premium, rows in _SERIES:
        family = Family(f"{quota}Family", f"Standard {label} Family vCPUs", premium)
        for row in rows.split():
            which, vcpus, gib, disks, nics = row.split(":")
            name = f"Standard_{pattern.replace('*', which)}"
            yield Size(name, family, int(vcpus), int(float(gib) * GIB), int(disks), int(nics))


SIZES: Mapping[str, Size] = {size.name.lower(): size for size in _sizes()}
FAMILIES: Mapping[str, Family] = {size.family.name: size.family for size in SIZES.values()}


def get_size(name: str) -> Size:
    """The size of this name, in any case. Raises BadRequest `InvalidParameter` that lists the valid ones."""
    found = SIZES.get(name.lower())
    if found is None:
        raise BadRequest(
            "InvalidParameter",
            f"The value {name} provided for the VM size is not valid. The valid sizes in the current region are: "
            f"{','.join(size.name for size in SIZES.values())}.",
            target="vmSize",
        )
    return found
