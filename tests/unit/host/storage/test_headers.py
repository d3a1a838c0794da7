"""Image files that must be refused, those that must not, and any bytes at all."""

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry.host.errors import Refused
from skerry.host.storage.headers import ImageHeader, inspect, read_qcow2

MIB = 1 << 20


def qemu_img(*arguments: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def make_qcow2(path: Path, *options: str) -> Path:
    qemu_img("create", "-f", "qcow2", *options, path, "8M")
    return path


def make_raw(path: Path, size: int = MIB) -> Path:
    path.write_bytes(bytes(510) + b"\x55\xaa" + bytes(size - 512))
    return path


def make_vhd(path: Path, size: int = MIB, kind: int = 2, data_offset: int = 0xFFFFFFFFFFFFFFFF) -> Path:
    footer = bytearray(512)
    struct.pack_into(">8sIIQ", footer, 0, b"conectix", 2, 0x10000, data_offset)
    struct.pack_into(">QQ", footer, 40, size, size)
    struct.pack_into(">I", footer, 60, kind)
    struct.pack_into(">I", footer, 64, ~sum(footer) & 0xFFFFFFFF)
    path.write_bytes(make_raw(path, size).read_bytes() + footer)
    return path


def patch(path: Path, offset: int, form: str, value: int) -> Path:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(struct.pack(form, value))
    return path


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-o", "compat=0.10"),
        ("-o", "compression_type=zstd"),
        ("-o", "extended_l2=on"),
        ("-o", "cluster_size=512"),
        ("-o", "cluster_size=2M"),
    ],
)
def test_plain_qcow2_is_taken(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert inspect(make_qcow2(tmp_path / "a", *options)) == ImageHeader("qcow2", 8 * MIB)


def test_raw_and_fixed_vhd_are_taken(tmp_path: Path) -> None:
    assert inspect(make_raw(tmp_path / "raw")) == ImageHeader("raw", MIB)
    assert inspect(make_vhd(tmp_path / "vhd"), "vhd") == ImageHeader("vhd", MIB)


def test_a_vhd_of_qemu_is_taken(tmp_path: Path) -> None:
    raw, vhd = make_raw(tmp_path / "raw"), tmp_path / "vhd"
    qemu_img("convert", "-f", "raw", "-O", "vpc", "-o", "subformat=fixed,force_size=on", raw, vhd)
    assert inspect(vhd) == ImageHeader("vhd", MIB)


def test_a_backing_file_is_refused_in_an_import_and_read_in_our_own(tmp_path: Path) -> None:
    make_qcow2(tmp_path / "base")
    overlay = make_qcow2(tmp_path / "overlay", "-b", "base", "-F", "qcow2")
    with pytest.raises(Refused, match="backing file"):
        inspect(overlay)
    assert read_qcow2(overlay).backing == "base"


def test_an_external_data_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="another file"):
        inspect(make_qcow2(tmp_path / "a", "-o", f"data_file={tmp_path / 'data'}"))


def test_encryption_is_refused(tmp_path: Path) -> None:
    # Not LUKS, which times its key derivation and fails on a busy machine; as a number it is among those below.
    secret = ("--object", "secret,id=s,data=x", "-o", "encrypt.format=aes,encrypt.key-secret=s")
    with pytest.raises(Refused, match="encrypted"):
        inspect(make_qcow2(tmp_path / "a", *secret))


@pytest.mark.parametrize(
    ("offset", "form", "value", "why"),
    [
        (4, ">I", 4, "version 4"),
        (20, ">I", 30, "clusters"),
        (20, ">I", 8, "clusters"),
        (24, ">Q", 1 << 62, "claims a disk"),
        (24, ">Q", 0, "claims a disk"),
        (24, ">Q", 8 * MIB + 1, "multiple"),
        (24, ">Q", 1 << 40, "too few"),
        (32, ">I", 1, "encrypted"),
        (32, ">I", 2, "encrypted"),
        (36, ">I", 0xFFFFFFFF, "L1 table"),
        (40, ">Q", 1 << 50, "L1 table"),
        (40, ">Q", 65537, "L1 table"),
        (48, ">Q", 0, "refcount table"),
        (56, ">I", 0xFFFFFFFF, "refcount table"),
        (60, ">I", 1 << 31, "snapshots"),
        (72, ">Q", 1 << 0, "closed properly"),
        (72, ">Q", 1 << 1, "corrupt"),
        (72, ">Q", 1 << 2, "another file"),
        (72, ">Q", 1 << 3, "compression type"),
        (72, ">Q", 1 << 5, "not known here"),
        (72, ">Q", 1 << 63, "not known here"),
        (96, ">I", 7, "reference counts"),
        (100, ">I", 8, "header of 8"),
        (100, ">I", 1 << 20, "header of"),
        (104, ">B", 7, "compression type 7"),
        (116, ">I", 1 << 30, "header extension"),
    ],
)
def test_a_bad_qcow2_field_is_refused(tmp_path: Path, offset: int, form: str, value: int, why: str) -> None:
    with pytest.raises(Refused, match=why):
        inspect(patch(make_qcow2(tmp_path / "a"), offset, form, value))


def test_a_cut_qcow2_is_refused(tmp_path: Path) -> None:
    image = make_qcow2(tmp_path / "a")
    image.write_bytes(image.read_bytes()[:100])
    with pytest.raises(Refused, match="cut short"):
        inspect(image)


@pytest.mark.parametrize(
    ("offset", "form", "value", "why"),
    [(48, ">Q", 2 * MIB, "checksum"), (64, ">I", 0, "checksum"), (12, ">I", 0x20000, "checksum")],
)
def test_a_bad_vhd_field_is_refused(tmp_path: Path, offset: int, form: str, value: int, why: str) -> None:
    with pytest.raises(Refused, match=why):
        inspect(patch(make_vhd(tmp_path / "a"), MIB + offset, form, value))


@pytest.mark.parametrize(("kind", "data_offset"), [(3, 512), (4, 512), (2, 512), (4, 0xFFFFFFFFFFFFFFFF)])
def test_a_vhd_that_is_not_fixed_is_refused(tmp_path: Path, kind: int, data_offset: int) -> None:
    with pytest.raises(Refused, match="not a fixed VHD"):
        inspect(make_vhd(tmp_path / "a", kind=kind, data_offset=data_offset))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "claims a disk of 0"),
        (bytes(1024), "no partition table"),
        (bytes(510) + b"\x55\xaa" + bytes(100), "multiple"),
        (b"KDMV" + bytes(1020), "VMDK"),
        (b"vhdxfile" + bytes(1016), "VHDX"),
        (b"conectix" + bytes(1016), "dynamic"),
        (bytes(64) + b"\x7f\x10\xda\xbe" + bytes(956), "VDI"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(Refused, match=why):
        inspect(tmp_path / "a")


def test_a_wrong_declaration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="declared as raw but is qcow2"):
        inspect(make_qcow2(tmp_path / "a"), "raw")


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not a regular file"):
        inspect(tmp_path)
    with pytest.raises(Refused, match="can't be read"):
        inspect(tmp_path / "missing")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("samples")
    made = [make_qcow2(folder / "q3", "-o", "compression_type=zstd"), make_qcow2(folder / "q2", "-o", "compat=0.10")]
    return [path.read_bytes() for path in (*made, make_vhd(folder / "vhd", 4096), make_raw(folder / "raw", 4096))]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_bytes_at_all_do_more_than_being_refused(tmp_path: Path, samples: list[bytes], data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(samples)))
    patches = st.tuples(st.integers(0, 639), st.binary(min_size=1, max_size=8), st.booleans())
    for offset, replacement, from_end in data.draw(st.lists(patches, max_size=6)):
        start = max(0, len(content) - offset - 8) if from_end else offset
        content[start : start + len(replacement)] = replacement
    (tmp_path / "a").write_bytes(
        content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    )
    for read in (inspect, read_qcow2):
        try:
            header = read(tmp_path / "a")
        except Refused:
            continue
        assert header.virtual_size % 512 == 0
        assert read is read_qcow2 or header.backing is None
