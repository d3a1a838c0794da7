"""Whatever a template depends on changes its setting."""

from pathlib import Path

import pytest

from skerry.host.compute.qemu import argv
from skerry.host.warm import setting as module
from skerry.host.warm.setting import host_processor, setting

CPUINFO = "processor : 0\nmodel name : {model}\nflags : {flags}\n\nprocessor : 1\nmodel name : other\nflags : none\n"


@pytest.fixture(autouse=True)
def qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "full_version", lambda _binary: "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)")


def test_it_names_what_people_know_by_name() -> None:
    assert setting("tcg", "pc-q35-7.2", "qemu").startswith(
        f"QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7); tcg; pc-q35-7.2; {argv.TCG_CPU}; skerry "
    )
    assert setting("tcg", "pc-q35-7.2", "qemu") == setting("tcg", "pc-q35-7.2", "qemu")


def test_another_machine_type_or_accelerator_is_another_setting() -> None:
    assert (
        len({setting("tcg", "pc-q35-7.2", ""), setting("tcg", "pc-q35-8.0", ""), setting("kvm", "pc-q35-7.2", "")}) == 3
    )


def test_another_qemu_of_the_same_version_is_another_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    before = setting("tcg", "m", "qemu")
    monkeypatch.setattr(module, "full_version", lambda _binary: "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-8)")
    assert setting("tcg", "m", "qemu") != before


@pytest.mark.parametrize(("name", "value"), [("TCG_CPU", "max"), ("SANDBOX", "off"), ("SLOT", {**argv.SLOT, "os": 6})])
def test_another_processor_or_device_is_another_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    before = setting("tcg", "m", "qemu")
    monkeypatch.setattr(argv, name, value)
    assert setting("tcg", "m", "qemu") != before


@pytest.mark.parametrize(("name", "value"), [("__version__", "9.9"), ("prepare", lambda: b"another script")])
def test_another_skerry_is_another_setting(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    before = setting("tcg", "m", "qemu")
    monkeypatch.setattr(module, name, value)
    assert setting("tcg", "m", "qemu") != before


def test_under_kvm_the_host_s_processor_counts(tmp_path: Path) -> None:
    found = set()
    for number, (model, flags) in enumerate([("A", "fpu sse"), ("A", "sse fpu"), ("B", "fpu sse"), ("A", "fpu avx")]):
        path = tmp_path / str(number)
        path.write_text(CPUINFO.format(model=model, flags=flags))
        found.add(host_processor(path))
    assert len(found) == 3
