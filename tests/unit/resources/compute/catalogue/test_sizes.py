"""The table of sizes against figures of Azure's documentation."""

import pytest

from skerry.arm.errors import BadRequest
from skerry.resources.compute.catalogue.sizes import FAMILIES, SIZES, get_size


@pytest.mark.parametrize(
    "name, family, figures",
    [
        ("Standard_B1ls", "standardBSFamily", (1, 0.5, 2, 2)),
        ("Standard_B1s", "standardBSFamily", (1, 1, 2, 2)),
        ("Standard_B2ms", "standardBSFamily", (2, 8, 4, 3)),
        ("Standard_B20ms", "standardBSFamily", (20, 80, 32, 8)),
        ("Standard_B2ts_v2", "standardBsv2Family", (2, 1, 4, 2)),
        ("Standard_B2s_v2", "standardBsv2Family", (2, 8, 4, 2)),
        ("Standard_B16als_v2", "standardBasv2Family", (16, 32, 32, 4)),
        ("Standard_D1_v2", "standardDv2Family", (1, 3.5, 4, 2)),
        ("Standard_DS1_v2", "standardDSv2Family", (1, 3.5, 4, 2)),
        ("Standard_DS15_v2", "standardDSv2Family", (20, 140, 64, 8)),
        ("Standard_D2s_v3", "standardDSv3Family", (2, 8, 4, 2)),
        ("Standard_D64s_v3", "standardDSv3Family", (64, 256, 32, 8)),
        ("Standard_D8_v5", "standardDv5Family", (8, 32, 16, 4)),
        ("Standard_D2s_v5", "standardDSv5Family", (2, 8, 4, 2)),
        ("Standard_D96ads_v5", "standardDADSv5Family", (96, 384, 32, 8)),
        ("Standard_D4s_v6", "StandardDsv6Family", (4, 16, 12, 2)),
        ("Standard_D192s_v6", "StandardDsv6Family", (192, 768, 64, 8)),
        ("Standard_D2as_v6", "StandardDasv6Family", (2, 8, 4, 2)),
        ("Standard_E64s_v3", "standardESv3Family", (64, 432, 32, 8)),
        ("Standard_E64s_v4", "standardESv4Family", (64, 504, 32, 8)),
        ("Standard_E20s_v5", "standardESv5Family", (20, 160, 32, 8)),
        ("Standard_E96as_v5", "standardEASv5Family", (96, 672, 32, 8)),
        ("Standard_E20s_v6", "StandardEsv6Family", (20, 160, 48, 8)),
        ("Standard_E96s_v6", "StandardEsv6Family", (96, 768, 64, 8)),
        ("Standard_F8s", "standardFSFamily", (8, 16, 32, 8)),
        ("Standard_F2s_v2", "standardFSv2Family", (2, 4, 4, 2)),
        ("Standard_F72s_v2", "standardFSv2Family", (72, 144, 32, 8)),
    ],
)
def test_a_size_has_azures_figures(name: str, family: str, figures: tuple[float, ...]) -> None:
    size = get_size(name)
    assert (size.name, size.family.name) == (name, family)
    assert (size.vcpus, size.memory_gib, size.max_data_disks, size.max_nics) == figures


def test_names_match_without_case_and_keep_azures() -> None:
    assert get_size("STANDARD_d2S_V5").name == "Standard_D2s_v5"


def test_no_two_series_make_the_same_name() -> None:
    assert len(SIZES) == 258  # as many as there are rows
    assert len(FAMILIES) == 31


def test_an_unknown_size_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(BadRequest) as refusal:
        get_size("Standard_X")
    assert (refusal.value.code, refusal.value.detail.target) == ("InvalidParameter", "vmSize")
    assert refusal.value.message.startswith(
        "The value Standard_X provided for the VM size is not valid. The valid sizes in the current region are: "
        "Standard_B1ls,Standard_B1s,"
    )
