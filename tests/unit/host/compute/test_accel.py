"""The choice of accelerator, where each condition fails."""

from pathlib import Path

import pytest

from skerry.host.compute import accel
from skerry.host.compute.accel import Choice, choose_accelerator, kvm_obstacle
from skerry.host.errors import HostError, MissingFeature

CAPABLE = "processor : 0\nflags\t\t: fpu vme svm sse2\n"


def cpuinfo(folder: Path, text: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(text)
    return path


def test_a_cpu_without_virtualisation(tmp_path: Path) -> None:
    obstacle = kvm_obstacle(cpuinfo(tmp_path, "flags\t\t: fpu svmx sse2\n"), tmp_path)
    assert obstacle == "the CPU shows neither vmx nor svm"


def test_a_device_that_does_not_open(tmp_path: Path) -> None:
    obstacle = kvm_obstacle(cpuinfo(tmp_path, CAPABLE), tmp_path / "kvm")
    assert obstacle == f"{tmp_path}/kvm can't be opened (No such file or directory)"


@pytest.mark.parametrize("failure", [None, "no answer within 1 s"])
def test_a_trial_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: str | None) -> None:
    def trial(_accelerator: str) -> None:
        if failure:
            raise HostError(failure)

    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(accel, "trial_boot", trial)
    obstacle = kvm_obstacle(cpuinfo(tmp_path, CAPABLE), device)
    assert obstacle == (f"a trial guest did not answer under KVM ({failure})" if failure else None)


def test_auto_falls_back_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "kvm_obstacle", lambda: "the moon is full")
    choice = choose_accelerator("auto")
    assert (choice.accelerator, choice.reason.split(";")[0]) == ("tcg", "the moon is full")
    with pytest.raises(MissingFeature, match="the moon is full"):
        choose_accelerator("kvm")
    assert choose_accelerator("tcg") == Choice("tcg", "asked for")


def test_kvm_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "kvm_obstacle", lambda: None)
    assert choose_accelerator("auto").accelerator == choose_accelerator("kvm").accelerator == "kvm"


def test_the_trial_firmware_fills_64_kib_and_starts_with_a_jump() -> None:
    assert len(accel.FIRMWARE) == 1 << 16
    assert accel.FIRMWARE[0xFFF0] == 0xE9
