"""The guest's root file system as a tar file: mmdebstrap, without root's rights where there are none."""

import io
import os
import re
import signal
import tarfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from skerry.host import run
from skerry.host.errors import CommandError, MissingFeature
from skerry.imagebuilder.recipes import FILES, Recipe, mode, tree

Report = Callable[[float], None]

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEADLINE_SECONDS = 3600

_EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*")
_WANTED_UNITS = ("systemd-networkd", "systemd-resolved", "skerry-provision", "skerry-ready")
_UNWANTED_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "cloud-init-hotplugd.socket",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
)

# Modules that nothing here needs at boot; each would be a process of its own.
_UNWANTED_MODULES = ("configfs", "dm_mod", "drm", "efi_pstore", "fuse", "loop")
# The first looks for data sources with a long shell script, the second for partitions that fstab names anyway.
_UNWANTED_GENERATORS = ("cloud-init-generator", "systemd-gpt-auto-generator", "systemd-hibernate-resume-generator")

# Neither has to be there before a login; the whole boot waits for what is before sysinit.target.
_LATE_UNITS = ("systemd-resolved", "systemd-timesyncd")

# Runs outside the root folder with its path in $1. Host keys and leases must never be shared by two guests.
CUSTOMIZE = f"""set -eu
chroot "$1" systemctl --quiet disable {" ".join(_UNWANTED_UNITS)} || true
chroot "$1" systemctl --quiet enable {" ".join(_WANTED_UNITS)}
chroot "$1" systemctl --quiet mask {" ".join(f"modprobe@{name}.service" for name in _UNWANTED_MODULES)}
for name in {" ".join(_LATE_UNITS)}; do
    sed '/^Before=/s/\\b\\(sysinit\\|network\\)\\.target//g' \\
        "$1"/lib/systemd/system/$name.service >"$1"/etc/systemd/system/$name.service
done
mkdir -p "$1"/etc/systemd/system-generators
for name in {" ".join(_UNWANTED_GENERATORS)}; do ln -sf /dev/null "$1"/etc/systemd/system-generators/$name; done
chroot "$1" passwd --quiet --lock root
rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$1"/etc/apt/apt.conf.d/99mmdebstrap
rm -f "$1"/etc/resolv.conf "$1"/etc/.resolv.conf.systemd-resolved.bak
ln -s ../run/systemd/resolve/stub-resolv.conf "$1"/etc/resolv.conf
echo localhost >"$1"/etc/hostname
"""


def make(recipe: Recipe, work: Path, report: Report) -> Path:
    """Install `recipe` into `work`/root.tar and return that path; `report` gets fractions from 0 to 1.

    Every package's signature chain is checked against Debian's own keys and nothing else.
    Raises CommandError with the end of mmdebstrap's output, MissingFeature if the host lacks something.
    """
    if not KEYRING.exists():
        raise MissingFeature(f"{KEYRING} is not there: install debian-archive-keyring")
    files = work / "files.tar"
    files.write_bytes(files_tar())
    target = work / "root.tar"
    _follow(argv(recipe, files, target, is_root=os.geteuid() == 0), {"TMPDIR": str(work), **_proxies()}, report)
    return target


def argv(recipe: Recipe, files: Path, target: Path, *, is_root: bool) -> list[str]:
    """mmdebstrap's arguments. The files come before the packages: the initramfs is made from them."""
    return [
        "mmdebstrap",
        f"--mode={'root' if is_root else 'unshare'}",
        "--verbose",
        "--variant=minbase",
        "--components=main",
        f"--keyring={KEYRING}",
        f"--include={','.join(recipe.packages)}",
        '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        f"--essential-hook=tar-in {files} /",
        f"--customize-hook={CUSTOMIZE}",
        recipe.suite,
        str(target),
    ]


def files_tar() -> bytes:
    """The files of `files/` as a tar, owned by root, the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in tree():
            entry = tarfile.TarInfo(str(path.relative_to(FILES)))
            entry.size, entry.mode = path.stat().st_size, mode(path)
            archive.addfile(entry, io.BytesIO(path.read_bytes()))
    return buffer.getvalue()


def _follow(argv: Sequence[str], environment: Mapping[str, str], report: Report) -> None:
    """Run mmdebstrap, turning its output into fractions. Killed with all its children if we are interrupted."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as output:
        with os.fdopen(writing, "wb") as pipe:
            process = run.start(argv, output=pipe, environment=environment)
        tail: deque[str] = deque(maxlen=40)
        try:
            for fraction in _fractions(_lines(output, tail)):
                report(fraction)
            status = process.wait(timeout=DEADLINE_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
    if status != 0:
        raise CommandError(argv, status, "\n".join(tail))


def _lines(output: IO[bytes], tail: deque[str]) -> Iterator[str]:
    for line in output:
        text = line.decode(errors="replace").rstrip()
        tail.append(text)
        yield text


def _fractions(lines: Iterable[str]) -> Iterator[float]:
    """How far mmdebstrap is: unpacking and setting up in two rounds, first the essential packages, then the rest."""
    planned = done = 0
    start, end = 0.0, 0.35
    for line in lines:
        if found := re.match(r"\d+ upgraded, (\d+) newly installed", line):
            planned, done = 2 * int(found[1]), 0
        elif line.startswith("I: installing remaining packages"):
            start, end = 0.35, 0.9
        elif line.startswith("I: creating tarball"):
            yield 0.95
        elif planned and line.startswith(("Unpacking ", "Setting up ")):
            done += 1
            yield start + (end - start) * min(done / planned, 1.0)


def _proxies() -> dict[str, str]:
    """The user's way to the archive; nothing else of the environment is passed on."""
    names = ("http_proxy", "https_proxy", "no_proxy")
    return {name: value for name in names if (value := os.environ.get(name))}


def inside(script: str, *arguments: str) -> list[str]:
    """Arguments that run `script` as root, or as root of a user namespace that owns what mmdebstrap made."""
    helper = [] if os.geteuid() == 0 else ["mmdebstrap", "--unshare-helper"]
    return [*helper, "sh", "-euc", script, "sh", *arguments]
