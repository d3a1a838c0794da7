"""A simulated VM does what an agent on the fake parts does."""

import pytest
from msgspec.structs import replace

from skerry.host.fleet import capacity, imagine_checkpoint, imagine_disk, imagine_vm, name
from skerry.hostspec import (
    CheckpointObserved,
    CheckpointSpec,
    DiskAttachment,
    DiskObserved,
    DiskSpec,
    Provisioning,
    VmObserved,
    VmSpec,
)

VM = VmSpec("v", "web", 2, 1 << 30, (DiskAttachment("d"),), ("p",), ("m",), provisioning=Provisioning("web", "me"))
RUNNING = VmObserved("v", "running", 1, 0, "ready", vcpus=2, memory_bytes=1 << 30)
STOPPED = replace(RUNNING, power="stopped")


@pytest.mark.parametrize(
    "spec, seen, now",
    [
        (VM, None, RUNNING),
        (VM, RUNNING, RUNNING),
        (replace(VM, provisioning=None), None, replace(RUNNING, health="pending")),
        (replace(VM, power="stopped"), None, VmObserved("v", "stopped")),
        (replace(VM, power="stopped"), RUNNING, STOPPED),
        (replace(VM, power="stopped", hard_stop=True), RUNNING, STOPPED),
        (replace(VM, start_generation=2), STOPPED, replace(RUNNING, start_generation=2)),
        (replace(VM, start_generation=2), RUNNING, replace(RUNNING, start_generation=2)),
        (replace(VM, restore_from="c", restore_generation=1), RUNNING, replace(RUNNING, restore_generation=1)),
        (replace(VM, vcpus=4), RUNNING, RUNNING),
        (replace(VM, vcpus=4, restart_generation=1), RUNNING, replace(RUNNING, vcpus=4, restart_generation=1)),
    ],
)
def test_a_vm_becomes_what_its_spec_says(spec: VmSpec, seen: VmObserved | None, now: VmObserved) -> None:
    assert imagine_vm(spec, seen) == now
    assert imagine_vm(spec, now) == now


def test_a_disk_is_made_grows_and_goes() -> None:
    small, large = DiskObserved("d", ready=True, size_bytes=1), DiskObserved("d", ready=True, size_bytes=2)
    assert imagine_disk(DiskSpec("d", 1), None) == small
    assert imagine_disk(DiskSpec("d", 2), small) == large
    assert imagine_disk(DiskSpec("d", 1), large) == large
    assert imagine_disk(DiskSpec("d", 2, present=False), large) is None


def test_a_checkpoint_is_made_and_goes() -> None:
    spec = CheckpointSpec("c", "v", ("d",), memory=True)
    assert imagine_checkpoint(spec) == CheckpointObserved("c", ready=True, memory=True)
    assert imagine_checkpoint(replace(spec, present=False)) is None


def test_hosts_stand_in_zones_and_fault_domains() -> None:
    places = {(capacity(number).zone, capacity(number).fault_domain) for number in range(15)}
    assert len(places) == 15
    assert sorted(map(name, (9, 10, 100, 9999))) == [name(number) for number in (9, 10, 100, 9999)]
