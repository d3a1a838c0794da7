"""Choosing a host, compared with looking at every one of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from skerry.placement import VCPU_RATIO, Choice, HostState, Index, Request, explain, reasons, sentence
from skerry.placement.index import FEW

GIB = 1 << 30


def host(name: str = "local", *, used_vcpus: int = 0, used: float = 0.0) -> HostState:
    return HostState(name, 2, 23 * GIB, used_vcpus, int(used * GIB))


def index(*hosts: HostState) -> Index:
    found = Index()
    for one in hosts:
        found.put(one)
    return found


def test_a_vm_goes_to_the_host_with_most_free_memory() -> None:
    hosts = index(host("a", used=9), host("c", used=3), host("b", used=3))
    assert hosts.find(Request(1, GIB)) == "b"


def test_vms_spread() -> None:
    hosts = index(host("a"), host("b"), host("c"))
    chosen = []
    for _ in range(6):
        name = hosts.find(Request(1, GIB))
        assert name is not None
        chosen.append(name)
        hosts.put(replace(host(name), used_memory_bytes=chosen.count(name) * GIB))
    assert chosen == ["a", "b", "c", "a", "b", "c"]


def test_memory_is_never_promised_twice() -> None:
    choice = index(host(used=1.7)).choose(Request(8, 64 * GIB))
    assert choice.host is None
    assert sentence(choice) == "host local: needs 64 GiB of memory, 21.3 GiB of 23 GiB free."


def test_all_of_the_memory_can_be_had() -> None:
    assert index(host(used=3)).find(Request(1, 20 * GIB)) == "local"


def test_cpus_are_shared_up_to_the_ratio() -> None:
    assert index(host(used_vcpus=12)).find(Request(4, GIB)) == "local"
    choice = index(host(used_vcpus=13)).choose(Request(4, GIB))
    assert sentence(choice) == ("host local: needs 4 vCPUs, 3 of 16 free (2 CPUs, each shared by up to 8 vCPUs).")


def test_a_host_without_cpus_does_not_hide_the_next() -> None:
    assert index(host("a", used_vcpus=16), host("b", used=9)).find(Request(1, GIB)) == "b"


def test_every_host_and_every_lack_is_named() -> None:
    said = sentence(index(host("a"), host("b", used=23)).choose(Request(32, 64 * GIB)))
    assert [part in said for part in ("host a:", "host b:", "memory", "vCPUs", "0 GiB of 23 GiB")] == [True] * 5


def test_a_choice_tells_who_was_turned_down() -> None:
    choice = index(host("a", used=20), host("b"), host("c", used=1)).choose(Request(1, 10 * GIB))
    assert choice == Choice(
        "b",
        3,
        {"has too little memory free": 1, "has less memory free than the chosen host": 1},
        {
            "a": "needs 10 GiB of memory, 3 GiB of 23 GiB free",
            "c": "has less memory free than the chosen host",
        },
    )


def test_in_a_large_fleet_it_tells_how_many() -> None:
    hosts = index(*(replace(host(f"h{number:02}", used=1), zone=str(number % 3 + 1)) for number in range(60)))
    choice = hosts.choose(Request(1, GIB, zone="2"))
    assert (choice.host, choice.hosts, choice.rejected) == ("h01", 60, {})
    assert choice.counts == {
        "is in another zone, fault domain or of another kind": 40,
        "has less memory free, or no room": 19,
    }
    hosts.put(replace(host("h04"), zone="2", silent_since=5.0))
    assert hosts.choose(Request(1, GIB, zone="2")).counts["reports no more"] == 1
    hosts.put(replace(host("h04", used=1), zone="2"))
    full = hosts.choose(Request(1, 23 * GIB, zone="2"))
    assert full.counts == {
        "has too little memory free": 20,
        "is in another zone and has too little memory free": 40,
    }
    assert len(full.rejected) == 6
    assert sentence(full).startswith("40 of 60 hosts: is in another zone and has too little memory free; 20 of")
    assert "host h01: needs 23 GiB" in sentence(full)


def test_no_host_at_all_is_explained() -> None:
    assert sentence(index().choose(Request(1, GIB))) == "no host has reported what it can give."
    assert index().choose(Request(1, GIB)).may_come


def test_a_host_that_reports_no_more_is_turned_down_and_may_come_back() -> None:
    choice = index(replace(host(), silent_since=1_900_000_000)).choose(Request(1, GIB))
    assert (choice.host, choice.may_come) == (None, True)
    assert sentence(choice) == "host local: has not reported since 2030-03-17T17:46:40Z."
    assert not index(replace(host(used=23), silent_since=1.0)).choose(Request(1, GIB)).may_come


@pytest.mark.parametrize("used_vcpus, used", [(40, 0), (0, 50)])
def test_a_host_that_shrank_has_nothing_free(used_vcpus: int, used: int) -> None:
    assert index(host(used_vcpus=used_vcpus, used=used)).find(Request(1, GIB)) is None


@pytest.mark.parametrize(
    "labels, request_, fits",
    [
        ({"architecture": "Arm64"}, {}, False),
        ({"architecture": "Arm64"}, {"architecture": "Arm64"}, True),
        ({"zone": "1"}, {"zone": "2"}, False),
        ({"zone": "1"}, {"zone": "1"}, True),
        ({"zone": "1"}, {}, True),
        ({}, {"zone": "1"}, True),
        ({"fault_domain": 1}, {"fault_domain": 0}, False),
        ({"fault_domain": 1}, {"fault_domain": 1}, True),
        ({"taints": frozenset({"gpu"})}, {}, False),
        ({"taints": frozenset({"gpu"})}, {"tolerations": frozenset({"gpu", "x"})}, True),
        ({}, {"host": "local"}, True),
        ({}, {"host": "elsewhere"}, False),
    ],
)
def test_labels_decide(labels: dict[str, object], request_: dict[str, object], fits: bool) -> None:
    here = replace(host(), **labels)
    asked = Request(1, GIB, **request_)  # type: ignore[arg-type]
    assert (index(here).find(asked) == "local") is fits
    assert (not list(reasons(asked, here))) is fits


def test_a_host_is_pinned_only_while_it_has_room() -> None:
    assert index(host("a"), host("b")).find(Request(1, GIB, host="b")) == "b"
    choice = index(host("a"), host("b", used=23)).choose(Request(1, GIB, host="b"))
    assert choice.host is None
    assert choice.rejected["a"] == "the VM's disks are on host b"


def test_a_host_that_is_removed_is_not_chosen() -> None:
    hosts = index(host("a"), host("b", used=1))
    hosts.remove("a")
    hosts.remove("never there")
    assert (hosts.find(Request(1, GIB)), len(hosts)) == ("b", 1)


def test_a_host_may_change_its_labels() -> None:
    hosts = index(host("a"), host("b", used=1))
    hosts.put(replace(host("a"), taints=frozenset({"maintenance"})))
    assert hosts.find(Request(1, GIB)) == "b"
    hosts.put(host("a"))
    assert hosts.find(Request(1, GIB)) == "a"


def test_what_changes_often_does_not_pile_up() -> None:
    hosts = index(host("a"), host("b"))
    for number in range(2000):
        hosts.put(replace(host("b"), used_memory_bytes=GIB * (1 + number % 7)))
    (bucket,) = hosts._buckets.values()
    assert sum(map(len, bucket._heaps)) < 40


_LABELS = {
    "architecture": st.sampled_from(["x64", "x64", "Arm64"]),
    "zone": st.sampled_from(["", "1", "2"]),
    "fault_domain": st.integers(0, 1),
    "taints": st.sampled_from([frozenset(), frozenset(), frozenset({"a"}), frozenset({"a", "b"})]),
}
_HOST = st.builds(
    HostState,
    id=st.sampled_from([f"h{number}" for number in range(12)]),
    cpus=st.integers(1, 40),
    memory_bytes=st.integers(0, 12),
    used_vcpus=st.integers(0, 330),
    used_memory_bytes=st.integers(0, 12),
    silent_since=st.sampled_from([None, None, 5.0]),
    **_LABELS,
)
_REQUEST = st.builds(
    Request,
    vcpus=st.integers(0, 40),
    memory_bytes=st.integers(0, 10),
    architecture=_LABELS["architecture"],
    zone=st.sampled_from([None, None, "1", "2"]),
    fault_domain=st.sampled_from([None, None, 0, 1]),
    tolerations=_LABELS["taints"],
    host=st.sampled_from([None, None, None, "h1", "h2"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_HOST, max_size=60), st.lists(_REQUEST, min_size=1, max_size=5))
def test_the_choice_is_the_one_that_looking_at_every_host_finds(hosts: list[HostState], asked: list[Request]) -> None:
    latest: dict[str, HostState] = {}
    built = Index()
    for one in hosts:  # an id that comes again is a host that has changed
        latest[one.id] = one
        built.put(one)
        for request in asked:
            fitting = [h for h in latest.values() if not list(reasons(request, h))]
            best = min(fitting, key=lambda h: (-h.free_memory_bytes, h.id), default=None)
            assert built.find(request) == (best.id if best else None)
    choice = built.choose(asked[0])
    others = set(latest) - {choice.host}
    assert set(choice.rejected) == others
    assert sum(choice.counts.values()) == len(others)
    known = explain(asked[0], latest.values(), FEW)
    assert all(choice.rejected[name] == reason for name, reason in known.rejected.items())
    assert {h.id for h in latest.values() if h.free_vcpus > h.cpus * VCPU_RATIO} == set()
