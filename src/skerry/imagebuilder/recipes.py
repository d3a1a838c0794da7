"""What each image is made of. A new distribution is one declaration here.

The recipe's digest names the image, so a changed recipe never meets an old image in a cache.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from skerry.imagebuilder.errors import UnknownRecipe

FILES = Path(__file__).parent / "files"
REVISION = 1  # rises when the code below this folder makes another image from the same recipe

_COMMON = (
    "ca-certificates",
    "cloud-guest-utils",
    "cloud-init",
    "curl",
    "dbus",
    "e2fsprogs",
    "fdisk",
    "initramfs-tools",
    "iproute2",
    "iputils-ping",
    "less",
    "libnss-myhostname",
    "libpam-systemd",
    "linux-image-cloud-amd64",
    "netbase",
    "openssh-server",
    "procps",
    "qemu-guest-agent",
    "sudo",
    "systemd-resolved",
    "systemd-sysv",
    "systemd-timesyncd",
    "udev",
    "vim-tiny",
    "zstd",
)


@dataclass(frozen=True)
class Recipe:
    """One image: the suite of Debian's archive, its packages and the name it gets in Azure's form.

    `size_bytes`: the disk as built; the guest grows its file system to whatever disk it wakes up on.
    """

    name: str
    suite: str
    publisher: str
    offer: str
    sku: str
    alias: str
    description: str
    packages: tuple[str, ...]
    size_bytes: int = 2 << 30

    def digest(self) -> str:
        """32 hex digits over everything that decides the image's content but the archive's state."""
        content = hashlib.sha256(orjson.dumps([REVISION, asdict(self)]))
        for path in tree():
            content.update(f"{path.relative_to(FILES)} {mode(path):o}\n".encode())
            content.update(path.read_bytes())
        return content.hexdigest()[:32]

    def image_id(self) -> str:
        """The name of its folder in a cache and in an image library."""
        return f"{self.name}-{self.digest()[:12]}"


def tree() -> list[Path]:
    """The files that every image gets, in a fixed order."""
    return sorted(path for path in FILES.rglob("*") if path.is_file())


def mode(path: Path) -> int:
    """The permissions a file gets in the guest, whatever umask the project was cloned with."""
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


DEBIAN_12 = Recipe(
    name="debian-12",
    suite="bookworm",
    publisher="Debian",
    offer="debian-12",
    sku="12-gen2",
    alias="Debian12",
    description="Debian 12 (bookworm), built here from Debian's own packages",
    packages=(*_COMMON, "isc-dhcp-client"),
)

DEBIAN_13 = Recipe(
    name="debian-13",
    suite="trixie",
    publisher="Debian",
    offer="debian-13",
    sku="13-gen2",
    alias="Debian13",
    description="Debian 13 (trixie), built here from Debian's own packages",
    packages=(*_COMMON, "dhcpcd-base", "systemd-repart"),
)

RECIPES = {recipe.name: recipe for recipe in (DEBIAN_12, DEBIAN_13)}


def recipe(name: str) -> Recipe:
    """The recipe called `name`, in any case; its alias is taken too. Raises UnknownRecipe."""
    for candidate in RECIPES.values():
        if name.lower() in (candidate.name, candidate.alias.lower()):
            return candidate
    raise UnknownRecipe(f"no recipe is called {name!r}; there are: {', '.join(RECIPES)}")
