import io
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from skerry.host.storage import names
from skerry.imagebuilder import recipes, rootfs
from skerry.imagebuilder.errors import UnknownRecipe
from skerry.imagebuilder.recipes import DEBIAN_12, DEBIAN_13, RECIPES, Recipe, recipe


@pytest.mark.parametrize("name", ["debian-12", "Debian-12", "Debian12", "debian12"])
def test_a_recipe_is_found_by_name_and_alias_in_any_case(name: str) -> None:
    assert recipe(name) is DEBIAN_12


def test_an_unknown_recipe_says_what_there_is() -> None:
    with pytest.raises(UnknownRecipe, match="debian-12, debian-13"):
        recipe("windows")


@pytest.mark.parametrize("declared", RECIPES.values(), ids=RECIPES)
def test_every_recipe_s_id_can_be_a_folder(declared: Recipe) -> None:
    assert names.image_id(declared.image_id()).startswith(declared.name)


def test_the_digest_follows_the_packages_and_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = DEBIAN_12.digest()
    assert replace(DEBIAN_12, packages=(*DEBIAN_12.packages, "nano")).digest() != before
    copy = shutil.copytree(recipes.FILES, tmp_path / "files")
    monkeypatch.setattr(recipes, "FILES", copy)
    assert DEBIAN_12.digest() == before
    (copy / "etc/fstab").chmod(0o600)
    assert DEBIAN_12.digest() == before
    (copy / "etc/initramfs-tools/hooks/skerry").chmod(0o644)
    assert DEBIAN_12.digest() != before


def test_the_guest_s_files_belong_to_root_and_keep_their_modes() -> None:
    with tarfile.open(fileobj=io.BytesIO(rootfs.files_tar())) as archive:
        entries = {entry.name: entry for entry in archive}
    assert entries["etc/initramfs-tools/hooks/skerry"].mode == 0o755
    assert entries["etc/fstab"].mode == 0o644
    assert {(entry.uid, entry.gid) for entry in entries.values()} == {(0, 0)}
    assert rootfs.files_tar() == rootfs.files_tar()


@pytest.mark.parametrize("is_root", [True, False])
def test_mmdebstrap_is_told_to_trust_debian_s_keys_only(is_root: bool) -> None:
    argv = rootfs.argv(DEBIAN_13, Path("/work/files.tar"), Path("/work/root.tar"), is_root=is_root)
    assert argv[:2] == ["mmdebstrap", "--mode=root" if is_root else "--mode=unshare"]
    assert "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg" in argv
    assert argv[-2:] == ["trixie", "/work/root.tar"]
    assert not any("trusted=yes" in argument or "allow-insecure" in argument.lower() for argument in argv)


def test_progress_never_runs_backwards_and_fills_up() -> None:
    essential = ["0 upgraded, 2 newly installed, 0 to remove", "Unpacking a (1) ...", "Unpacking b (1) ..."]
    rest = [
        "I: installing remaining packages inside the chroot...",
        "0 upgraded, 1 newly installed",
        "Unpacking c (1) ...",
    ]
    lines = [
        *essential,
        "Setting up a (1)",
        "Setting up b (1)",
        "noise",
        *rest,
        "Setting up c (1)",
        "I: creating tarball...",
    ]
    fractions = list(rootfs._fractions(lines))
    assert fractions == sorted(fractions)
    assert fractions[0] > 0
    assert fractions[-1] == 0.95
