"""Choosing a host."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.placement import VCPU_RATIO, Choice, HostState, Request, choose, explain

GIB = 1 << 30


def host(name: str = "local", *, used_vcpus: int = 0, used: float = 0.0) -> HostState:
    return HostState(name, 2, 23 * GIB, used_vcpus, int(used * GIB))


def test_a_vm_goes_to_the_host_with_most_free_memory() -> None:
    hosts = [host("a", used=9), host("b", used=3), host("c", used=3)]
    assert choose(Request(1, GIB), hosts) == Choice("b", {})


def test_memory_is_never_promised_twice() -> None:
    choice = choose(Request(8, 64 * GIB), [host(used=1.7)])
    assert choice.host is None
    assert explain(choice) == "host local: needs 64 GiB of memory, 21.3 GiB of 23 GiB free."


def test_all_of_the_memory_can_be_had() -> None:
    assert choose(Request(1, 20 * GIB), [host(used=3)]).host == "local"


def test_cpus_are_shared_up_to_the_ratio() -> None:
    assert choose(Request(4, GIB), [host(used_vcpus=12)]).host == "local"
    choice = choose(Request(4, GIB), [host(used_vcpus=13)])
    assert explain(choice) == ("host local: needs 4 vCPUs, 3 of 16 free (2 CPUs, each shared by up to 8 vCPUs).")


def test_every_host_and_every_lack_is_named() -> None:
    choice = choose(Request(32, 64 * GIB), [host("a"), host("b", used=23)])
    assert choice.host is None
    assert [name in explain(choice) for name in ("host a:", "host b:", "memory", "vCPUs", "0 GiB of 23 GiB")] == [
        True
    ] * 5


def test_a_choice_tells_who_was_turned_down() -> None:
    choice = choose(Request(1, 10 * GIB), [host("a", used=20), host("b")])
    assert (choice.host, list(choice.rejected)) == ("b", ["a"])


def test_no_host_at_all_is_explained() -> None:
    assert explain(choose(Request(1, GIB), [])) == "no host has reported what it can give."


@pytest.mark.parametrize("used_vcpus, used", [(40, 0), (0, 50)])
def test_a_host_that_shrank_has_nothing_free(used_vcpus: int, used: int) -> None:
    assert choose(Request(1, GIB), [host(used_vcpus=used_vcpus, used=used)]).host is None


_HOSTS = st.lists(
    st.builds(
        HostState,
        st.text("abcdef", min_size=1),
        st.integers(1, 64),
        st.integers(0, 99),
        st.integers(0, 600),
        st.integers(0, 99),
    ),
    unique_by=lambda h: h.id,
)


@given(_HOSTS, st.integers(1, 64), st.integers(1, 99))
def test_the_chosen_host_has_room_and_the_others_are_explained(hosts: list[HostState], vcpus: int, memory: int) -> None:
    choice = choose(Request(vcpus, memory), hosts)
    fits = {
        h.id
        for h in hosts
        if h.used_memory_bytes + memory <= h.memory_bytes and h.used_vcpus + vcpus <= h.cpus * VCPU_RATIO
    }
    assert choice.host in fits if fits else choice.host is None
    assert set(choice.rejected) == {h.id for h in hosts} - fits
