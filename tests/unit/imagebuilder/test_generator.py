"""When cloud-init is part of an image's boot."""

import subprocess
from pathlib import Path

import pytest

from skerry.host.provisioning.script import provision
from skerry.hostspec import Provisioning
from skerry.imagebuilder.recipes import FILES

GENERATOR = FILES / "etc/systemd/system-generators/skerry-cloud-init"
ME = Provisioning(hostname="web", admin_username="me")


def links(folder: Path, **credentials: bytes) -> bool:
    """Whether it is, with these of `skerry.*` and a generator's folder below `folder`."""
    given, out = folder / "credentials", folder / "out"
    given.mkdir()
    for name, content in credentials.items():
        (given / f"skerry.{name}").write_bytes(content)
    script = GENERATOR.read_text().replace("/run/credentials/@system", str(given))
    off = str(folder / "cloud-init.disabled")
    script = script.replace("/etc/cloud/cloud-init.disabled", off)
    subprocess.run(["sh", "-eu", "-c", script, "generator", out], check=True, timeout=30)
    return (out / "multi-user.target.wants/cloud-init.target").is_symlink()


@pytest.mark.parametrize(("by_cloud_init", "linked"), [(True, True), (False, False)])
def test_the_host_says_whether(tmp_path: Path, by_cloud_init: bool, linked: bool) -> None:
    (tmp_path / "cloud-init.disabled").touch()
    assert links(tmp_path, provision=provision("id", ME, by_cloud_init=by_cloud_init)) is linked


def test_under_any_other_host_it_is(tmp_path: Path) -> None:
    assert links(tmp_path)


def test_turned_off_it_is_not(tmp_path: Path) -> None:
    (tmp_path / "cloud-init.disabled").touch()
    assert not links(tmp_path)


def test_in_a_template_it_is_not(tmp_path: Path) -> None:
    assert not links(tmp_path, template=b"1")
