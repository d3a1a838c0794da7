"""A real Skerry on a state folder and a port of its own, the real az, and evidence when a test fails."""

import os
import subprocess
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from tests.system.cloud import AZ, SDK, Cloud, cloud_of_its_own
from tests.system.real import Real, vm_path

LONGEST = ("test_session.py", "test_qemu.py", "test_debian.py", "test_image.py", "test_fuzz.py")
"""The files that take longest: most of them boot machines. The second needs no image while the first builds it."""


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """Skerry with the Debian 12 image, and az logged in to it."""
    for tool, how in ((AZ, "make test"), (SDK, "make test")):
        assert tool.exists(), f"{tool} is missing: `{how}` installs it"
    with cloud_of_its_own(SKERRY_AZ=str(AZ)) as found:
        found.environment |= exports(found.skerry("env"))
        yield found


@pytest.fixture
def nic(real: Real) -> Iterator[str]:
    """A NIC for the test's VM; nothing is left of that afterwards, and it was one Skerry all the time."""
    pid = real.pid
    yield real.network()
    if real.get(vm_path()) is not None:
        real.delete()
    real.remove_disks()
    real.clean()
    assert real.pid == pid


def exports(text: str) -> dict[str, str]:
    """What a shell has after `eval "$(skerry env)"`."""
    script = f"{text}\nenv -0"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={"PATH": os.defpath})
    pairs = (pair.partition("=") for pair in done.stdout.split("\0") if pair)
    return {name: value for name, _, value in pairs if name not in ("PATH", "PWD", "_", "SHLVL")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that processes that share the tests end together."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Show the serial logs and the server's log of a test that failed."""
    report: Any = yield
    cloud = getattr(item, "funcargs", {}).get("cloud")
    if report.failed and isinstance(cloud, Cloud):
        for path in sorted([*cloud.state.glob("vms/*/serial*"), *cloud.state.glob("logs/*")]):
            if path.is_file():
                text = path.read_bytes()[-6000:].decode(errors="replace")
                report.sections.append((str(path.relative_to(cloud.state)), text))
    return report
