"""What guests that continue from a checkpoint are told."""

import re
import subprocess
import time
from pathlib import Path

import pytest
from tests.unit.host.warm.test_identity import VNET

from skerry.host.checkpoints.scripts import one_s_own, same_again
from skerry.host.errors import HostError
from skerry.hostspec import DiskAttachment, Provisioning, VmSpec

VM = VmSpec(
    "v1", "web", 1, 1 << 30, (DiskAttachment("d1"),), (VNET.ports[0].id,), ("m",), provisioning=Provisioning("w", "me")
)


def told(script: bytes) -> dict[str, str]:
    found = re.match(rb"\$main::parameters = '([0-9a-f]+)';\n", script)
    assert found
    words = bytes.fromhex(found[1].decode()).decode().split("\0")
    return dict(zip(words[::2], words[1::2], strict=True))


def test_the_same_machine_gets_random_numbers_and_the_time() -> None:
    first, second = told(same_again()), told(same_again())
    assert first["vm"] == ""
    assert abs(float(first["time"]) - time.time()) < 60
    assert len(first["seed"]) == 128
    assert first["seed"] != second["seed"]


def test_a_fork_gets_all_that_is_its_own() -> None:
    first, second = told(one_s_own(VM, [VNET], ["00-0D-3A-00-00-0A"])), told(one_s_own(VM, [VNET], ["x"]))
    assert (first["vm"], first["hostname"]) == ("v1", "w")
    assert first["machine_id"] != second["machine_id"]
    old, mac, address, gateway = first["nics"].split(" ")
    assert (old, mac) == ("00:0d:3a:00:00:0a", VNET.ports[0].mac.replace("-", ":").lower())
    assert address.split("/")[0] == VNET.ports[0].address
    assert gateway


def test_a_fork_without_a_network_is_refused() -> None:
    with pytest.raises(HostError, match="network"):
        one_s_own(VM, [], ["x"])


def test_the_script_is_perl(tmp_path: Path) -> None:
    path = tmp_path / "script.pl"
    path.write_bytes(same_again())
    done = subprocess.run(["perl", "-c", path], capture_output=True, text=True, check=False)
    assert "syntax OK" in done.stderr
